import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.journals import result_row

import batch_updater
from batch_updater.common.models import NOT_DONE, Result, ResultRow
from batch_updater.reports.reasons import EXAMPLES, KINDS, MEANINGS, ReasonCounts, meaning

PACKAGE = Path(batch_updater.__file__).parent
CODE_TABLES = {"RETRIED_STATUSES", "_REFUSED"}
README_CODES = {
    "ok", "already_set", "order_not_found", "bad_order_id", "bad_status_id", "unknown_status", "missing_value",
    "conflicting_rows", "duplicate_row", "unauthorized", "forbidden", "validation_error", "rate_limited",
    "server_error", "timeout", "connection_error", "unexpected_response", "redirect", "stopped",
}  # fmt: skip


def row(number: int, result: Result = Result.FAILED, code: str = "order_not_found", detail: str = "d") -> ResultRow:
    return result_row(number, cells=("a",), result=result, code=code, detail=detail)


def texts(node: ast.AST) -> Iterator[str]:
    return (n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str))


def keys(node: ast.AST) -> Iterator[str]:
    return (text for n in ast.walk(node) if isinstance(n, ast.Subscript) for text in texts(n.slice))


def code_places(trees: list[ast.Module]) -> dict[str, int]:
    """Every class of the package that is made with a code, or function, and at which place of the call it stands."""
    found = {}
    for function in (node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)):
        names = [argument.arg for argument in function.args.args]
        if "code" in names:
            found[function.name] = names.index("code")
    for node in (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        fields = [part.target.id for part in node.body if isinstance(part, ast.AnnAssign)]  # type: ignore[union-attr]
        inits = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
        fields += [argument.arg for init in inits for argument in init.args.args[1:]]
        if "code" in fields:
            found[node.name] = fields.index("code")
    return found


def codes_used(tree: ast.Module, places: dict[str, int]) -> set[str]:
    """Every word that stands where a code stands: in a call, as `code=`, in a table of codes, or in SQL."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            found.update(text for part in node.args[places.get(name, 99) :][:1] for text in texts(part))
            found.update(text for word in node.keywords if word.arg == "code" for text in texts(word.value))
        if isinstance(node, ast.Assign):
            targets = {getattr(target, "id", "") for target in node.targets}
            if targets & CODE_TABLES and isinstance(node.value, ast.Dict):
                found.update(text for value in node.value.values for text in texts(value))
            if targets & {"code", "kind"}:
                found.update(set(texts(node.value)) - set(keys(node.value)))
    for text in texts(tree):
        found.update(re.findall(r"\bcode = (?:CASE .*? ELSE )?'(\w+)'", text))
    return {code for code in found if re.fullmatch(r"[a-z]+(_[a-z]+)*", code)}


def test_every_code_of_the_program_is_explained() -> None:
    """A word that the package puts into result_code has a line in the table."""
    trees = [ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")]
    places = code_places(trees)
    used = set().union(*(codes_used(tree, places) for tree in trees))
    assert {"Answer", "RejectedRow", "RowOutcome", "RejectedOrder"} <= set(places)
    assert {"tls_error", "overtaken", "not_applied", "status_moved", "conflicting_rows", "duplicate_row"} <= used
    assert used | README_CODES <= set(MEANINGS)


@pytest.mark.parametrize("code", sorted(set(MEANINGS) - {"ok", "already_set", "duplicate_row"}))
def test_a_reason_for_a_row_not_done_says_what_to_do(code: str) -> None:
    """Each code that can leave a row undone has a sentence and an advice."""
    if code.startswith("confirmed"):
        return
    assert MEANINGS[code].explanation.endswith(".")
    assert MEANINGS[code].what_to_do.endswith(".")


def test_an_unknown_end_has_its_own_advice() -> None:
    """A row that was sent and not answered is to be read back, whatever its last answer was."""
    assert meaning(Result.UNKNOWN, "timeout").command == "verify"
    assert "No answer" in meaning(Result.FAILED, "timeout").explanation
    assert "no answer" in meaning(Result.UNKNOWN, "timeout").explanation
    assert "same command" in meaning(Result.UNKNOWN, "stopped").what_to_do


def test_a_row_not_sent_goes_on_with_the_same_command() -> None:
    """Whatever stopped the run, its open rows need the same command, after the cause is mended."""
    for code in MEANINGS:
        assert "same command" in meaning(Result.NOT_SENT, code).what_to_do
    assert "token" in meaning(Result.NOT_SENT, "unauthorized").what_to_do


def test_a_code_nobody_knows_is_still_explained() -> None:
    """A journal of another version gives a sentence, not an error."""
    assert "result_detail" in meaning(Result.FAILED, "from_the_future").what_to_do


def test_groups_come_largest_first_with_their_first_rows() -> None:
    """Counts, examples and order of the groups are those of the rows that streamed by."""
    counts = ReasonCounts()
    for number in range(2, 10):
        counts.add(row(number, detail=f"no {number}"), f"row {number} here")
    counts.add(row(10, Result.INVALID, "bad_order_id", "x"), "row 10")
    counts.add(row(11, Result.UPDATED, "ok"), "row 11")
    counts.add(row(12, Result.DUPLICATE, "duplicate_row"), "row 12")
    found = counts.top()
    assert [(r.result, r.code, r.rows) for r in found] == [
        (Result.FAILED, "order_not_found", 8), (Result.INVALID, "bad_order_id", 1),
    ]  # fmt: skip
    assert found[0].examples == tuple((n, f"row {n} here", f"no {n}") for n in (2, 3, 4))
    assert found[0].to_dict() == {
        "result": "failed", "code": "order_not_found", "rows": 8, "example_row": 2, "example_detail": "no 2",
        "what_to_do": MEANINGS["order_not_found"].what_to_do,
    }  # fmt: skip


def test_memory_does_not_grow_with_the_rows() -> None:
    """However many codes and rows there are, groups and examples stay few."""
    counts = ReasonCounts()
    for number in range(2, 5000):
        counts.add(row(number, code=f"code{number}"), "a row")
    found = counts.top()
    assert len(found) <= KINDS + 1
    assert sum(reason.rows for reason in found) == 4998
    assert max(len(reason.examples) for reason in found) == EXAMPLES


def test_every_result_is_done_or_not() -> None:
    """The groups hold exactly the results that count as not done."""
    assert set(Result) - set(NOT_DONE) == {Result.UPDATED, Result.UNCHANGED, Result.DUPLICATE}
