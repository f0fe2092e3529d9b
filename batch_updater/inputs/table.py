"""The interface of every input format, and the kinds of file.

A new format is a `Table` in a module of its own, a `Kind` and its ending here, and its line in `formats.py`;
`tests/unit/inputs/test_formats.py` then requires a sample of it.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from enum import StrEnum

from batch_updater.common.models import Flaw, Value
from batch_updater.common.secret import Secret
from batch_updater.inputs.excel.worksheet import UserSheet

Flaws = dict[int, Flaw]  # by column (0-based) or WHOLE_ROW
Record = tuple[int, Sequence[Value], Flaws | None]  # row number as a spreadsheet shows it, its cells, flaws if any
EXCEL = {".xlsx", ".xlsm", ".xls", ".ods", ".fods"}
TEXT = {".csv", ".tsv", ".txt"}
OTHER = {".jsonl", ".ndjson", ".parquet"}


class Kind(StrEnum):
    """What the content of a file is."""

    TEXT = "text"
    JSON_LINES = "JSON lines"
    XLSX = "xlsx"
    XLS = "xls"
    ODS = "ods"
    FODS = "flat ods"
    PARQUET = "parquet"
    GZIP = "gzip"
    ZIP = "zip"
    ENCRYPTED = "workbook with a password"


class Table(ABC):
    """One sheet, whose rows can be streamed repeatedly, titles and header included."""

    is_excel = False
    escapes_formulas = False  # whether an earlier run's result file has apostrophes before formulas
    description = ""
    choice = ""  # why this sheet of several was taken, when nobody named it
    header: list[str] | None = None  # for a format with names instead of a header row
    hidden_rows = 0
    hidden_columns: frozenset[int] = frozenset()
    delimiter = ","  # of a text file, which the result file keeps
    password: Secret | None = None  # that the file was opened with

    @property
    def user_sheet(self) -> UserSheet | None:
        """The sheet in its own workbook, when results can be added there."""
        return None

    @abstractmethod
    def records(self) -> Generator[Record]:
        """Yield number, cells as stored and flaws of each visible row. Raises InputError for damage beyond a row."""

    def require_width(self, header_row: int, width: int) -> None:  # noqa: B027 - only text can have rows of another width
        """Refuse rows below the header that have more cells than this, and fill up those with fewer."""
