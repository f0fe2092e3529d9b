"""Choose the sheet of a workbook: the named one, the only one with cells, or with the needed columns. Pure."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from batch_updater.common.errors import InputError
from batch_updater.common.remedies import Remedy
from batch_updater.inputs.excel.cell_text import texts_of
from batch_updater.inputs.header_row import HEADER_WITHIN, find_header, names_needed
from batch_updater.inputs.pandas_io import SUMMARY_SHEET
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.table import Record

Top = tuple[int, Sequence[str]]  # number and cells of a row that is not blank
Peek = Callable[[str], Sequence[Top]]  # returns the top of a sheet, hidden rows included; may raise InputError


class Sheet(NamedTuple):
    """A worksheet in the list of a workbook: the name of its part, and whether it is visible."""

    part: str
    visible: bool


def choose_sheet(name: Path, sheets: dict[str, Sheet], options: ReadOptions, peek: Peek) -> tuple[str, str]:
    """Return the chosen sheet, and why it was chosen among several; an empty text when that is plain.

    `--sheet` names it, or counts the visible ones. Otherwise it is the only visible one, the only one of these that is
    not empty, or the only one that has the columns that are needed. Raises InputError.
    """
    names, wanted = list(sheets), options.sheet
    shown = [title for title in names if sheets[title].visible and title != SUMMARY_SHEET]  # as they are counted
    if wanted is None and len(shown) == 1:
        return shown[0], ""
    if wanted in names:
        return str(wanted), ""
    if wanted and wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= len(shown):
        return shown[int(wanted) - 1], ""
    listed = ", ".join(repr(title) for title in shown)
    if wanted:
        raise InputError(f"{name} has no sheet {wanted!r}: {listed}.", Remedy("use {sheet} NAME"))
    if found := _only_useful(shown, options, peek):
        return found
    raise InputError(f"{name} has {len(shown)} visible sheets: {listed}.", Remedy("use {sheet} NAME"))


def _only_useful(shown: Sequence[str], options: ReadOptions, peek: Peek) -> tuple[str, str] | None:
    try:
        tops = {title: peek(title) for title in shown}
    except InputError:  # what can't be read may be the right one
        return None
    filled = [title for title in shown if tops[title]] or shown[:1]
    if len(filled) == 1:
        return filled[0], ""
    fitting = [title for title in filled if _has_columns(tops[title], options)]
    if len(fitting) != 1:
        return None
    columns = "a column of orders and one of statuses" if options.names.needs_status else "a column of orders"
    return fitting[0], f"sheet {fitting[0]!r} is the only one of {len(filled)} with {columns}"


def _has_columns(top: Sequence[Top], options: ReadOptions) -> bool:
    if options.header_row is not None:
        return any(names_needed(cells, options.names) for number, cells in top if number == options.header_row)
    return find_header([cells for _number, cells in top], options.names) is not None


def top_of(records: Iterable[Record]) -> list[Top]:
    """Return the first rows that are not blank."""
    rows = ((number, texts_of(cells)) for number, cells, _flaws in records)
    return list(islice((row for row in rows if any(cell.strip() for cell in row[1])), HEADER_WITHIN))
