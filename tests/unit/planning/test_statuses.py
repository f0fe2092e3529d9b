import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_updater.common.errors import SettingsError
from batch_updater.common.models import OrderStatus
from batch_updater.common.secret import Secret
from batch_updater.planning.statuses import AnyStatus, StatusBook, UnknownStatusError, folded
from batch_updater.sandbox.server import status_id

NAMES = ("Planned", "In Progress", "Completed", "Teslim Edildi", "İptal", "Kısmi Boşaltıldı", "Çöp", "COMPLETED LATE")
BOOK = StatusBook([OrderStatus(status_id(name), name) for name in NAMES])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("completed", "Completed"),
        ("  COMPLETED ", "Completed"),
        ("Completed\u00a0", "Completed"),
        ("in\u00a0progress", "In Progress"),
        ("In  \tProgress", "In Progress"),
        ("InProgress", "In Progress"),
        ("In\u200b Progress\ufeff", "In Progress"),
        ("Ｐｌａｎｎｅｄ", "Planned"),
        ("TESLİM EDİLDİ", "Teslim Edildi"),
        ("TESLIM EDILDI", "Teslim Edildi"),
        ("teslım edıldı", "Teslim Edildi"),
        ("iptal", "İptal"),
        ("IPTAL", "İptal"),
        ("i\u0307ptal", "İptal"),
        ("ıptal", "İptal"),
        ("KISMİ BOŞALTILDI", "Kısmi Boşaltıldı"),
        ("kismi boşaltildi", "Kısmi Boşaltıldı"),
        (unicodedata.normalize("NFD", "Kısmi Boşaltıldı"), "Kısmi Boşaltıldı"),
        (unicodedata.normalize("NFD", "ÇÖP"), "Çöp"),
        (status_id("Çöp"), "Çöp"),
        (status_id("Çöp").upper(), "Çöp"),
    ],
)
def test_a_name_is_found_however_it_is_written(text: str, name: str) -> None:
    """Case, blanks, invisible characters, Unicode form and the Turkish i do not matter."""
    assert BOOK.find(text) == status_id(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Complted", "did you mean 'Completed'"),
        ("Plan", "did you mean 'Planned'"),
        ("bosaltildi kismi", "Kısmi Boşaltıldı"),
        ("Cop", "Çöp"),
        ("zzzzzz", "it has Planned, In Progress"),
        ("", "it has Planned"),
    ],
)
def test_an_unknown_name_is_refused_with_the_closest_ones(text: str, words: str) -> None:
    """Letters that differ are never guessed over, only suggested: ş is no s, ö is no o."""
    with pytest.raises(UnknownStatusError, match=words):
        BOOK.find(text)


def test_a_name_of_two_statuses_is_refused_with_both_ids() -> None:
    """Two statuses whose names differ only by case: neither is chosen, not even by the exact spelling."""
    book = StatusBook([OrderStatus(status_id(name), name) for name in ("Done", "DONE ", "Planned")])
    for text in ("Done", "DONE ", "done"):
        with pytest.raises(UnknownStatusError) as caught:
            book.find(text)
        assert status_id("Done") in str(caught.value)
        assert status_id("DONE ") in str(caught.value)
    assert book.find(status_id("Done")) == status_id("Done")


def test_the_status_map_speaks_the_sheets_language() -> None:
    """A word of the map means a name or an id of the service; one that leads nowhere says so."""
    words = {"Abgeschlossen": "completed", "storniert": status_id("İptal").upper(), "weg": "Gone", "planned": "Çöp"}
    book = StatusBook(BOOK.statuses, words)
    assert book.find(" ABGESCHLOSSEN") == status_id("Completed")
    assert book.find("Storniert") == status_id("İptal")
    assert book.find("Planned") == status_id("Çöp"), "the map goes first"
    with pytest.raises(UnknownStatusError, match="the status map makes it 'Gone'"):
        book.find("weg")


def test_an_id_is_checked_against_the_list() -> None:
    """An id that the tenant has not is refused before it is sent."""
    BOOK.check_id(status_id("Planned"))
    with pytest.raises(UnknownStatusError, match=status_id("Nowhere")):
        BOOK.check_id(status_id("Nowhere"))


@given(st.text())
def test_folding_again_changes_nothing(text: str) -> None:
    """The folded form is one form: folding it, or any Unicode form of it, gives the same."""
    once = folded(text)
    assert folded(once) == once
    assert folded(unicodedata.normalize("NFD", text)) == once
    assert folded(f" {text}\u00a0") == once


def test_two_meanings_of_one_word_are_refused() -> None:
    """Words of a status map that differ in case and blanks only are one; twice the same meaning is no harm."""
    statuses = [OrderStatus(status_id(name), name) for name in NAMES]
    with pytest.raises(SettingsError, match="'DONE' both 'Completed' and 'Planned'"):
        StatusBook(statuses, {"done": "Completed", "DONE": "Planned"})
    assert StatusBook(statuses, {"done": "Completed", "DONE": "completed "}).find("Done") == status_id("Completed")


def test_a_secret_in_a_name_is_matched_but_not_shown() -> None:
    """A sheet may name the status; whoever shows it shows stars."""
    secret = Secret("k4n4rY-token")
    book = StatusBook([OrderStatus(status_id("x"), secret.reveal(), f"#{secret.reveal()}")])
    assert book.find(secret.reveal()) == status_id("x")
    with pytest.raises(UnknownStatusError, match=r"did you mean '\*\*\*'\?"):
        book.find("k4n4rY-tokem")
    assert (book.names, book.statuses) == ({status_id("x"): "***"}, (OrderStatus(status_id("x"), "***", "#***"),))


def test_any_status_is_taken_while_nobody_can_be_asked() -> None:
    """Ids as they are, names by their letters, so that equal ones agree; what is clearly no name is refused."""
    book = AnyStatus({"x1": status_id("Completed"), "erledigt": "Completed"})
    book.check_id(status_id("Completed"))
    assert book.find(status_id("Completed").upper()) == book.find("x1") == status_id("Completed")
    assert book.find("Erledigt") == book.find("COMPLETED") != book.find("Cancelled")
    for text in ("#REF!", "12345", "-"):
        with pytest.raises(UnknownStatusError):
            book.find(text)


def test_any_status_remembers_so_many_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A column of free text does not fill the memory."""
    monkeypatch.setattr("batch_updater.planning.statuses.MOST_NAMED", 3)
    book = AnyStatus()
    assert len({book.find(f"name {letter}") for letter in "abcdef"}) == 6
    assert len(book.names) == 3
