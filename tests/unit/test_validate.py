import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_updater.models import RejectedRow, SourceRow, StatusUpdate
from batch_updater.validate import Rules, normalise_id

RULES = Rules(0, 1)
ID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"


@pytest.mark.parametrize("text", [ID, ID.upper(), f" {ID}\u00a0", f"{{{ID}}}", f"urn:uuid:{ID}", f"\t{ID}\n"])
def test_harmless_spellings_are_normalised(text: str) -> None:
    """Blanks around it, case, braces and urn:uuid: do not change which id it is."""
    assert normalise_id(text) == ID


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("NA", "empty cell"),
        ("1.5E+15", "shortened"),
        ("00123", "is a number"),
        (ID[:-1], "31 digits"),
        (ID.replace("b", "\u0432", 1), "looks like"),
        (ID[:4] + "\u200b" + ID[4:], "invisible"),
        (ID[:4] + "\x00" + ID[4:], "invisible"),
        ("#REF!", "spreadsheet error"),
        ("../../users", "is not an id"),
        (ID.replace("-", ""), "32"),
    ],
)
def test_a_bad_id_is_refused_with_its_reason(text: str, word: str) -> None:
    """Each kind of unusable id has a sentence of its own."""
    judged = RULES.judge(SourceRow(2, (text, ID)))
    assert isinstance(judged, RejectedRow)
    assert judged.code == "bad_order_id"
    assert word in judged.detail


def test_missing_and_bad_status_have_their_codes() -> None:
    """An empty cell and a bad status are told apart."""
    missing, bad = RULES.judge(SourceRow(2, (ID, " "))), RULES.judge(SourceRow(2, (ID, "x")))
    assert isinstance(missing, RejectedRow)
    assert isinstance(bad, RejectedRow)
    assert (missing.code, bad.code) == ("missing_value", "bad_status_id")


@given(st.text(max_size=60))
def test_no_text_becomes_another_id(text: str) -> None:
    """An accepted id is always one that stands in the text."""
    found = normalise_id(text)
    assert found is None or found in text.lower()


@given(st.uuids())
def test_every_uuid_is_accepted(value: uuid.UUID) -> None:
    """A canonical UUID passes unchanged."""
    judged = RULES.judge(SourceRow(2, (str(value), ID)))
    assert judged == StatusUpdate(2, str(value), ID, False)
