"""The rules that keep the package in order, each with its reason: they hold for every change."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from importlinter import cli as import_linter

import batch_updater

PACKAGE = Path(batch_updater.__file__).parent
ROOT = PACKAGE.parent
UNIT = ROOT / "tests" / "unit"
SQL = re.compile(
    r"\b(SELECT\s.*\sFROM|INSERT\s.*INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+(TABLE|INDEX)|PRAGMA)\s"
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package, by its place in it."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def imports(tree: ast.AST, *, running: bool = True) -> Iterator[str]:
    """The first names of what a module imports; those of `if TYPE_CHECKING:` only when not `running`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from () if running else imports(node, running=False)
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
        else:
            yield from imports(node, running=running)


def importers(library: str, *, running: bool = True) -> set[str]:
    """The modules that import a library."""
    return {name for name, tree in modules().items() if library in imports(tree, running=running)}


def outside(names: set[str], *allowed: str) -> list[str]:
    """Those names that begin with none of the allowed ones."""
    return sorted(name for name in names if not name.startswith(allowed))


def strings(tree: ast.AST) -> Iterator[str]:
    """The texts of a module, those with values in them as they stand."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_imports_go_downwards_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A room can be understood, tested and replaced without the floors above it and the rooms beside it."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("logging.config.dictConfig", lambda _config: None)  # it would disable the program's logger
    assert import_linter.lint_imports() == 0


def test_the_top_of_the_package_fits_one_glance() -> None:
    """At most 14 entries: a newcomer picks a room before reading any code."""
    assert len([entry for entry in PACKAGE.iterdir() if entry.name != "__pycache__"]) <= 14


def test_no_file_is_long() -> None:
    """At most 300 lines: what is longer does more than one thing."""
    lengths = {name: len((PACKAGE / name).read_text(encoding="utf-8").splitlines()) for name in modules()}
    assert {name: length for name, length in lengths.items() if length > 300} == {}


def test_no_function_is_long() -> None:
    """At most 40 lines: what it does can be seen at once, and be tested by itself."""
    functions = [(name, node) for name, tree in modules().items() for node in ast.walk(tree)]
    lengths = {f"{name}:{node.name}": node.end_lineno - node.lineno + 1  # type: ignore[operator]
               for name, node in functions if isinstance(node, Function)}  # fmt: skip
    assert {name: length for name, length in lengths.items() if length > 40} == {}


def test_no_public_name_is_defined_twice() -> None:
    """One word means one thing, and a search for it finds one definition."""
    found = Counter(
        node.name
        for tree in modules().values()
        for node in tree.body
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_")
    )
    assert sorted(name for name, number in found.items() if number > 1) == []


def test_sql_stays_in_the_journal() -> None:
    """What a row's state means is decided in one room; everybody else asks by a query's name."""
    texts = {name for name, tree in modules().items() if any(map(SQL.search, strings(tree)))}
    assert outside(texts | importers("sqlite3"), "journal/") == []


def test_aiohttp_stays_in_the_rooms_that_use_the_network() -> None:
    """Its private parts are used, so a new version of it is one room's affair; deciding code does no I/O."""
    assert outside(importers("aiohttp", running=False), "api/", "web/", "sandbox/") == []


def test_tenacity_is_used_in_one_file() -> None:
    """There is one retry loop: how often, how long apart and when to give up is read in one place."""
    assert importers("tenacity", running=False) == {"api/retry.py"}


def test_click_stays_in_the_terminal() -> None:
    """A browser or a program that calls the use cases needs no terminal, and none of them prints."""
    assert outside(importers("click", running=False), "cli/") == []


def test_pandas_is_loaded_in_one_file() -> None:
    """It takes half a second to load, and guesses types: what it may do to a sheet is seen in one place."""
    assert importers("pandas") == {"inputs/pandas_io.py"}
    assert outside(importers("pandas", running=False), "inputs/pandas_io.py", "app/") == []


def test_unit_tests_mirror_the_rooms() -> None:
    """Whoever changes a room finds its tests under the same name; what several tests need is in tests/support."""
    files = [path.relative_to(UNIT) for path in UNIT.rglob("*.py")]
    assert [str(path) for path in files if not (PACKAGE / path.parent / "__init__.py").is_file()] == []
    assert [str(path) for path in files if not path.name.startswith(("test_", "conftest"))] == []


def test_run_facts_are_typed_outside_the_journal() -> None:
    """A misspelt key of a dict is found by a user, a misspelt attribute of `RunFacts` by mypy."""
    by_key = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Subscript) and _is_facts(node.value) and isinstance(node.slice, ast.Constant))
        or (isinstance(node, ast.Attribute) and node.attr == "get" and _is_facts(node.value))
    }
    assert outside(by_key, "journal/") == []


def _is_facts(node: ast.AST) -> bool:
    return ast.unparse(node).removesuffix("()").rpartition(".")[2] == "facts"
