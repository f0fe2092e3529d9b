"""The words of a header, and what each of them means, in five languages. Pure.

A word counts as a whole: *neu* means new, *Neubau* does not. Words written together (`OrderNo`, `statusid`,
`Zielstatus`) are taken apart only when every part is known.
"""

import re
import unicodedata
from enum import Enum
from functools import lru_cache


class Role(Enum):
    """What a word says about its column."""

    ORDER = "the thing that is updated"
    STATUS = "a status"
    STATE = "a status, or a part of a country"
    TARGET = "what the order should get"
    CHANGED = "what the order should get, or when that was changed"
    CURRENT = "what the order has"
    PAST = "what the order had"
    EXPECTED = "what the order must have before it is updated"
    ID = "an id"
    NUMBER = "a number or code"
    NAME = "a name"
    OURS = "the name of the service"
    ABOUT = "a fact about it: when, who, why"
    FILLER = "nothing"


_ADJECTIVES = {
    Role.TARGET: "neu gewünscht künftig zukünftig geplant nächst",
    Role.CURRENT: "aktuell bisherig derzeitig jetzig momentan gegenwärtig",
    Role.PAST: "alt vorherig ursprünglich letzt",
    Role.EXPECTED: "erwartet",
}
_WORDS = {
    Role.ORDER: "order auftrag auftrags bestellung bestell sipariş siparişi siparişin emri emir işemri commande ordre"
    " pedido orden",
    Role.STATUS: "status durum durumu statü statüsü statut zustand état estado estatus",
    Role.STATE: "state",
    Role.TARGET: "new target next to desired wanted requested required future planned after goal tobe"
    " ziel soll nachher danach nach"
    " yeni hedef istenen istenilen sonraki gelecek olacak sonra"
    " nouveau nouvel nouvelle cible futur future souhaité souhaitée voulu prochain après"
    " nuevo nueva objetivo destino deseado deseada futuro siguiente próximo después",
    Role.CHANGED: "update updated change changed changes revised modified correct corrected correction final proposed"
    " geändert korrigiert güncellenen güncellenmiş değişen düzeltilmiş modifié corrigé modificado corregido",
    Role.CURRENT: "current present existing actual from now latest ist bisher jetzt mevcut şimdiki güncel anki"
    " şu şuanki actuel actuelle courant présent vigente",
    Role.PAST: "old previous last before prior original initial vorher eski önceki önce son"
    " ancien ancienne précédent précédente avant anterior antiguo viejo previo antes",
    Role.EXPECTED: "expected beklenen attendu esperado",
    Role.ID: "id ids uuid guid identifier kennung kimlik kimliği identifiant identificador",
    Role.NUMBER: "no nr num number nummer numara numarasi numéro número n code kod kodu código ref reference referenz"
    " referans référence referencia key",
    Role.NAME: "name names bezeichnung text label title titel titre ad adi isim ismi nom libellé nombre texto etiqueta",
    Role.OURS: "evreka evreka360 360",
    Role.ABOUT: "date datum tarih tarihi fecha time timestamp zeit saat saati hora heure at am on by since seit"
    " comment comments kommentar yorum commentaire comentario note notes notiz not notu nota remark bemerkung"
    " reason grund neden nedeni sebep sebebi raison motif motivo color colour farbe renk rengi couleur"
    " user benutzer kullanici usuario utilisateur history verlauf geçmiş historique historial"
    " description beschreibung açiklama açiklamasi descripción count anzahl type typ tipo icon flag",
    Role.FILLER: "of the a and or for be der die das des dem den und oder für von de du d la le les l et ou pour del"
    " el y o para ve veya için field column feld spalte zorunlu mandatory pflicht pflichtfeld obligatoire obligatorio",
}


def fold_letters(text: str) -> str:
    """Return text without accents; the Turkish i is the same with and without a dot."""
    plain = unicodedata.normalize("NFKD", text.replace("\u0131", "i").replace("\u1e9e", "ss").replace("ß", "ss"))
    return "".join(c for c in plain if not unicodedata.combining(c))


def _vocabulary() -> dict[str, Role]:
    found = {fold_letters(word): role for role, words in reversed(_WORDS.items()) for word in words.split()}
    for role, stems in _ADJECTIVES.items():
        for stem in stems.split():
            found |= {fold_letters(stem) + ending: role for ending in ("", "e", "er", "es", "en", "em")}
    return found


_VOCABULARY = _vocabulary()
_NOUNS = {Role.ORDER, Role.STATUS}
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")
_LONGEST = 200  # characters; the header of a used column is shorter
_JOINED = (("is emri", "isemri"), ("su an", "suan"), ("to be", "tobe"))  # one word, though written as two


@lru_cache(20_000)
def split_header(header: str) -> tuple[str, ...]:
    """Return the words of a header in lower case, without accents: split at blanks, marks and capitals.

    Evreka360's own name counts as one word.
    """
    spaced = " ".join(part.casefold() for part in _PART.findall(fold_letters(header[:_LONGEST])))
    for two, one in _JOINED:
        spaced = f" {spaced} ".replace(f" {two} ", f" {one} ").strip()
    return tuple(known for word in spaced.split() for known in _taken_apart(word))


def roles_of(header: str) -> tuple[frozenset[Role], bool]:
    """Return the roles of a header's words, and whether all its words are known."""
    words = split_header(header)
    return frozenset(_VOCABULARY[word] for word in words if word in _VOCABULARY), all(w in _VOCABULARY for w in words)


def _taken_apart(word: str) -> list[str]:
    """Return the known words that a word consists of, one of them a noun; the word itself when it has no such parts."""
    if word in _VOCABULARY:
        return [word]
    reached: dict[int, list[str]] = {0: []}
    for end in range(1, len(word) + 1):
        for start, words in list(reached.items()):
            if end - start > 1 and word[start:end] in _VOCABULARY:
                reached[end] = [*words, word[start:end]]
                break
    parts = reached.get(len(word), [])
    return parts if any(_VOCABULARY[part] in _NOUNS for part in parts) else [word]
