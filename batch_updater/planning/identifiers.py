"""Order and status ids: their canonical form, and why a text is not an id. Pure."""

import re
import unicodedata

from batch_updater.common.text import UUID_SHAPE, shown

BLANKS = " \t\r\n\u00a0\u202f\u2007\u3000"
_MISSING = {"na", "n/a", "nan", "null", "none", "-", "nil"}


def bare_text(text: str) -> str:
    """Return a cell's text without surrounding blanks and what a spreadsheet writes to mark text: `="…"`, `'…`."""
    bare = text.strip(BLANKS)
    if len(bare) > 3 and bare.startswith('="') and bare.endswith('"') and '"' not in bare[2:-1]:
        return bare[2:-1].strip(BLANKS)
    return bare[1:].strip(BLANKS) if bare.startswith("'") and not bare.endswith("'") else bare


def normalise_id(text: str) -> str | None:
    """Return the canonical form of a UUID, or None.

    Surrounding blanks (no-break ones too), upper case, braces, `urn:uuid:`, and what a spreadsheet writes to mark text
    are removed; nothing else is changed.
    """
    if UUID_SHAPE.fullmatch(text):
        return text
    bare = bare_text(text)
    if not bare.isascii():
        return None
    bare = bare.lower().removeprefix("urn:uuid:")
    if bare.startswith("{") and bare.endswith("}"):
        bare = bare[1:-1]
    return bare if UUID_SHAPE.fullmatch(bare) else None


_LINK = re.compile(rf"https?://\S+[/=#]({UUID_SHAPE.pattern})(?:/(?:status)?)?", re.IGNORECASE)

# What a text that is not an id is instead, and what to do about it; the first match counts.
_EXAMPLE = "ids look like 1b4e28ba-2fa1-41d2-883f-0016d3cca427"
_REASONS = tuple(
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        (
            r"[0-9.,]+[eE][+-]?[0-9]+",
            "is a number that a spreadsheet shortened; format the column as text and copy the id again",
        ),
        (
            r"[1-9][0-9]{15,}([.,]0+)?",
            "is a number, of which spreadsheets keep only 15 digits; format the column as text and copy the id again",
        ),
        (r"[0-9]+[.,]0+", "is a number; a spreadsheet made it a decimal number"),
        (
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9:.]+)?|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}",
            "is a date, or a spreadsheet made it one; format the column as text and copy the id again",
        ),
        (r"[+-]?[0-9.,]+", f"is a number; {_EXAMPLE}"),
        (r"#.*", "is a spreadsheet error; repair the formula"),
    )
)


def why_not_an_id(text: str) -> str:
    """Return one sentence on why this text is not a UUID."""
    bare = bare_text(text)
    if bare.casefold() in _MISSING:
        return f"'{shown(bare)}' stands for an empty cell; put the id there"
    if odd := next((c for c in bare if unicodedata.category(c) in {"Cc", "Cf"}), ""):
        return f"'{_escaped(bare)}' holds an invisible character (U+{ord(odd):04X}); type or copy the id again"
    if odd := next((c for c in bare if not c.isascii()), ""):
        return f"'{_escaped(bare)}' holds '{shown(odd)}' (U+{ord(odd):04X}), which only looks like part of an id"
    if link := _LINK.fullmatch(bare):
        return f"'{shown(bare)}' is the address of an order; put its id there: {link[1].lower()}"
    if re.fullmatch(r"[0-9a-fA-F]{32}", bare):
        whole = "-".join((bare[:8], bare[8:12], bare[12:16], bare[16:20], bare[20:])).lower()
        return f"'{bare}' is an id of 32 digits without its hyphens; write {whole}"
    for pattern, sentence in _REASONS:
        if pattern.fullmatch(bare):
            return f"'{shown(bare)}' {sentence}"
    if re.fullmatch(r"[0-9a-fA-F-]+", bare):
        digits = len(bare.replace("-", ""))
        return f"'{shown(bare)}' has {digits} digits; an id has 32 in groups of 8-4-4-4-12"
    return f"'{shown(bare)}' is not an id; {_EXAMPLE}"


def _escaped(text: str) -> str:
    """Return the text with every character escaped that can be mistaken for another one."""
    return shown(text.encode("ascii", "backslashreplace").decode("ascii"))


def is_name(text: str) -> bool:
    """Whether a text looks like a status name rather than a damaged id or a number."""
    bare = text.strip(BLANKS)
    if bare.casefold() in _MISSING or bare.startswith("#") or re.fullmatch(r"[0-9a-fA-F{}-]{16,}", bare):
        return False
    return bare.isprintable() and sum(c.isalpha() for c in bare) >= 2
