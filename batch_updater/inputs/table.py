"""What every input format gives: its rows from the first one on. The seam that formats implement."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence

from batch_updater.common.models import Flaw

Flaws = dict[int, Flaw]
Record = tuple[int, Sequence[str], Flaws | None]
EXCEL = {".xlsx", ".xlsm", ".xls", ".ods"}
BINARY = {".xlsb"}  # refused by its content, with a sentence that says how to go on
TEXT = {".csv", ".tsv", ".txt"}
OTHER = {".jsonl", ".ndjson", ".parquet", ".gz", ".zip"}


class Table(ABC):
    """What every format gives: its rows from the first one on, header and titles included."""

    is_excel = False
    description = ""
    header: list[str] | None = None  # for a format that has names instead of a header row
    hidden_rows = 0
    hidden_columns: frozenset[int] = frozenset()
    widths: tuple[float | None, ...] = ()  # of the columns, in characters; None where nobody set one, 0 when hidden

    @abstractmethod
    def records(self) -> Generator[Record]:
        """Number, cells as text and flaws of each row. Raises InputError for what no row can be blamed for."""

    def expect(self, header_row: int, width: int) -> None:  # noqa: B027 - only text can have rows of another width
        """From now on, rows below the header have to have that many cells."""
