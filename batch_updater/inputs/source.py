"""Open a sheet and stream its rows as text; the only user of pandas."""

import contextlib
import csv
import io
import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import python_calamine

from batch_updater.errors import InputError
from batch_updater.inputs.columns import result_column, result_free
from batch_updater.models import SourceRow

if TYPE_CHECKING:
    from pandas.io.parsers import TextFileReader

CHUNK = 20_000
EXCEL = {".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"}
TEXT = {".csv", ".tsv", ".txt"}
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read: Excel sheet by name or 1-based number; encoding and delimiter of a CSV file."""

    sheet: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    only: tuple[str, ...] = ()  # results of an earlier run whose rows alone are read


class Source:
    """A sheet that can be streamed again and again. `header` leaves an earlier run's result columns out.

    `name` is what messages call it: the person's file, not its copy.
    """

    def __init__(self, path: Path, name: Path, options: ReadOptions) -> None:
        self.path, self.name = path, name
        self._excel = path.suffix.lower() in EXCEL
        if self._excel:
            self._sheet = _choose_sheet(path, name, options.sheet)
            self.description = f"Excel sheet {self._sheet!r}"
        else:
            self._encoding = options.encoding or _detect_encoding(path, name)
            self._delimiter = options.delimiter or _detect_delimiter(path, self._encoding)
            self.description = f"CSV, {self._encoding}, delimiter {self._delimiter!r}"
        with contextlib.closing(self._records()) as records:
            full = next(records, None)
            first = next((row for row in records if any(cell.strip() for cell in row)), None)
        if full is None or first is None:
            raise InputError(f"{name}: there are no rows under the header.", "is it the right file and sheet?")
        self._width = len(full)
        self._kept = result_free(full)
        self._only = frozenset(options.only)
        self._result = result_column(full) if options.only else 0
        self.header = tuple(full[place] for place in self._kept)

    def rows(self) -> Iterator[SourceRow]:
        """Every row that is not blank, numbered as a spreadsheet shows it (the header is row 1)."""
        with contextlib.closing(self._records()) as records:
            next(records)
            for number, record in enumerate(records, 2):
                if not any(cell.strip() for cell in record):
                    continue
                cells = record + [""] * (self._width - len(record))
                if not self._only or cells[self._result] in self._only:
                    yield SourceRow(number, tuple(cells[place] for place in self._kept))

    def _records(self) -> Generator[list[str]]:
        return _excel_records(self.path, self._sheet) if self._excel else self._csv_records()

    def _csv_records(self) -> Generator[list[str]]:
        with contextlib.closing(_plain_records(self.path, self._encoding, self._delimiter)) as plain:
            header = next(plain, None)
        if not header:
            return
        try:
            with self._open_csv(len(header)) as reader:
                for chunk in reader:
                    for record in zip(*(chunk[name].tolist() for name in chunk.columns), strict=True):
                        yield [str(cell) for cell in record]
        except pd.errors.ParserError as error:
            raise self._explain(str(error)) from None

    def _explain(self, said: str) -> InputError:
        if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", said):
            wanted, line, seen = found.groups()
            return InputError(
                f"{self.name}: line {line} has more cells ({seen}) than the header ({wanted}).",
                f"put quotes around a cell that contains {self._delimiter!r}, or use --delimiter",
            )
        if found := re.search(r"EOF inside string starting at row (\d+)", said):
            return InputError(
                f"{self.name}: a quotation mark in row {int(found[1]) + 1} is never closed.",
                "close it, or double it when it belongs to the text",
            )
        return InputError(f"{self.name} can't be read as CSV: {said.strip()}.", "save it again as CSV UTF-8")

    def _open_csv(self, width: int) -> "TextFileReader":
        return pd.read_csv(
            self.path, sep=self._delimiter, encoding=self._encoding, header=None, names=range(width), dtype=object,
            keep_default_na=False, na_filter=False, skip_blank_lines=False, index_col=False, chunksize=CHUNK,
            low_memory=False,
        )  # fmt: skip


def check_file(path: Path) -> None:
    """Raise InputError when this can't be a sheet, before anything is done with it."""
    if ":/" in str(path):
        raise InputError(f"{path} is an address, not a file.", "download it first")
    if path.is_dir():
        raise InputError(f"{path} is a folder.", "name one sheet in it")
    if not path.exists():
        raise InputError(f"{path} does not exist.", "check the name")
    if path.suffix.lower() not in EXCEL | TEXT:
        raise InputError(f"{path} has no ending that says what it is.", f"use {', '.join(sorted(EXCEL | TEXT))}")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path} is empty.", "save the sheet again")


def open_source(path: Path, options: ReadOptions, shown_as: Path | None = None) -> Source:
    """Open a sheet. Raises InputError for anything that can't be read for certain."""
    name = shown_as or path
    check_file(path)
    try:
        return Source(path, name, options)
    except OSError as error:
        raise InputError(f"{name} can't be read: {error.strerror}.", "check its permissions") from None
    except (UnicodeError, LookupError):
        raise InputError(f"{name} is not text in the encoding given.", "use --encoding, e.g. cp1254") from None


def read_results(path: Path) -> pd.DataFrame:
    """A result file as a DataFrame of text cells. Raises OSError."""
    if path.suffix.lower() == ".jsonl":
        return pd.read_json(path, lines=True, dtype=False)
    if path.suffix.lower() in EXCEL:
        sheets = pd.read_excel(path, sheet_name=None, engine="calamine", dtype=str, keep_default_na=False)
        return pd.concat(sheets.values(), ignore_index=True)
    return pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8-sig")


def dataframe_to_csv(frame: pd.DataFrame, path: Path) -> None:
    """Keep a DataFrame as a CSV file of text cells."""
    frame.astype(str).to_csv(path, index=False, encoding="utf-8")


def _plain_records(path: Path, encoding: str, delimiter: str) -> Generator[list[str]]:
    with path.open(encoding=encoding, newline="") as stream:
        yield from csv.reader(stream, delimiter=delimiter)


def _detect_encoding(path: Path, name: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(4)
        for mark, encoding in _BOMS:
            if start.startswith(mark):
                return encoding
    try:
        with path.open(encoding="utf-8", newline="") as text:
            while text.read(1 << 20):
                pass
    except UnicodeDecodeError:
        raise InputError(
            f"{name} is not UTF-8.", "save it as 'CSV UTF-8', or use --encoding cp1254 (Turkish) or cp1252 (Western)"
        ) from None
    return "utf-8"


def _detect_delimiter(path: Path, encoding: str) -> str:
    with path.open(encoding=encoding, newline="") as stream:
        line = stream.readline(1 << 16)
    counts = {mark: len(next(csv.reader(io.StringIO(line), delimiter=mark), [])) for mark in ",;\t|"}
    return max(counts, key=lambda mark: counts[mark])


def _choose_sheet(path: Path, name: Path, wanted: str | None) -> str:
    try:
        with python_calamine.CalamineWorkbook.from_path(path) as book:
            sheets = [s for s in book.sheets_metadata if s.typ == python_calamine.SheetTypeEnum.WorkSheet]
    except (python_calamine.CalamineError, ValueError, KeyError) as error:
        raise InputError(f"{name} is no readable Excel file ({error}).", "open it in Excel and save it again") from None
    names = [sheet.name for sheet in sheets]
    shown = [s.name for s in sheets if s.visible == python_calamine.SheetVisibleEnum.Visible]
    if wanted is None and len(shown) == 1:
        return shown[0]
    if wanted in names:
        return str(wanted)
    if wanted and wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    listed = ", ".join(repr(name) for name in shown)
    what = f"{name} has no sheet {wanted!r}" if wanted else f"{name} has {len(shown)} visible sheets"
    raise InputError(f"{what}: {listed}.", "use --sheet NAME")


def _excel_records(path: Path, sheet: str) -> Generator[list[str]]:
    frame = pd.read_excel(
        path, sheet_name=sheet, engine="calamine", header=None, dtype=object, keep_default_na=False, na_filter=False
    )
    columns: Iterable[list[Any]] = (frame[name].tolist() for name in frame.columns)
    for record in chain(zip(*columns, strict=True)):
        yield [_shown(cell) for cell in record]


def _shown(cell: Any) -> str:
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    return "" if cell is None else str(cell)
