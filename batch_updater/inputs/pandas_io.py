"""Everything that uses pandas, which is loaded when needed: it takes half a second."""

import contextlib
import csv
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from batch_updater.common.errors import InputError
from batch_updater.common.models import RESULT_COLUMNS
from batch_updater.common.text import HALVES, encodable
from batch_updater.inputs.header_row import non_result_columns
from batch_updater.inputs.table import EXCEL

if TYPE_CHECKING:
    import pandas as pd
    import python_calamine

ROWS = 20_000  # of a frame
MISSING = "nan"  # the cell of a frame that holds nothing
FIRST_ROW = 2  # of a frame, as `result_row` counts: the names of its columns are row 1
_FIGURES = frozenset({"result_http_status", "result_attempts", "result_row", "result_duration_ms"})
_TIMES = frozenset({"result_sent_at"})
SUMMARY_SHEET = "batch-updater summary"  # the sheet of a result file that holds counts, not rows


class NotSplitError(Exception):
    """A row has too many cells, or a quotation mark in the wrong place; pandas does not say which row."""


def text_rows(stream: TextIO, delimiter: str, width: int) -> Generator[tuple[str | None, ...]]:
    """Yield the rows of delimited text as tuples of `width` cells, None for those that a short row lacks.

    The first row must have that width; surplus cells of others are left out when they are empty. pandas' "python"
    engine alone tells a missing cell from an empty one, and stops at a surplus cell or a stray quotation mark; its "c"
    engine drops and moves cells silently. Raises NotSplitError.
    """
    import pandas as pd  # noqa: PLC0415 - see above

    def cut(cells: list[str]) -> list[str]:
        if any(cell.strip() for cell in cells[width:]):
            raise NotSplitError(f"a row has {len(cells)} cells")
        return cells[:width]

    try:
        with pd.read_csv(
            stream, sep=delimiter, engine="python", header=None, names=range(width), dtype=object, chunksize=ROWS,
            keep_default_na=False, na_filter=False, skip_blank_lines=False, on_bad_lines=cut,
        ) as frames:  # fmt: skip
            for frame in frames:
                yield from zip(*[frame[column].tolist() for column in frame.columns], strict=True)
    except (csv.Error, pd.errors.ParserError) as error:
        raise NotSplitError(str(error)) from None


@contextlib.contextmanager
def open_workbook(path: Path) -> "Iterator[python_calamine.CalamineWorkbook]":
    """Open a workbook by pandas' calamine engine, which goes by its content. Raises what calamine raises."""
    import pandas as pd  # noqa: PLC0415 - see above

    with pd.ExcelFile(path, engine="calamine") as file:
        yield file.book


def read_results(
    path: Path, delimiter: str = ",", sheet: str | None = None, header_row: int = 1, rows: Sequence[int] = ()
) -> "pd.DataFrame":
    """Return a result file as a DataFrame of text cells; `delimiter` is that of a CSV. Raises OSError.

    In a person's own workbook, that is the table of this sheet under this row, of which `rows` are taken, by the
    numbers that a spreadsheet shows.
    """
    import pandas as pd  # noqa: PLC0415 - see above

    if path.suffix.lower() == ".jsonl":
        return pd.read_json(path, lines=True, dtype=False)
    if path.suffix.lower() in EXCEL:
        options: dict[str, Any] = {"engine": "calamine", "dtype": str, "keep_default_na": False}
        if sheet is not None:
            frame = pd.read_excel(path, sheet_name=sheet, header=None, **options)
            names = frame.iloc[header_row - 1].rename(None)
            return frame.iloc[[number - 1 for number in rows]].set_axis(names, axis=1).reset_index(drop=True)
        sheets = pd.read_excel(path, sheet_name=None, **options)
        return pd.concat([frame for name, frame in sheets.items() if name != SUMMARY_SHEET], ignore_index=True)
    return pd.read_csv(path, sep=delimiter, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8-sig")


def with_types(results: "pd.DataFrame") -> "pd.DataFrame":
    """Return the rows of a result file with real types in the columns of results; the sheet's own stay texts.

    Figures are Int64, missing where there is none; `result_sent_at` is a time in UTC; the others are texts.
    """
    import pandas as pd  # noqa: PLC0415 - see above

    typed = results.copy(deep=False)
    for name in RESULT_COLUMNS:
        texts = results[name].astype(object).where(results[name].notna(), "")
        if name in _FIGURES:
            typed[name] = pd.to_numeric(texts.mask(texts == "")).astype("Int64")
        elif name in _TIMES:
            typed[name] = pd.to_datetime(texts.mask(texts == ""), utc=True, format="ISO8601")
        else:
            typed[name] = texts.astype(str)
    return typed


def results_of(frame: "pd.DataFrame", rows: Sequence[int], results: "pd.DataFrame") -> "pd.DataFrame":
    """Return a caller's DataFrame with its results: those of its `rows`, by number, the first of which is 2.

    Index, columns and types stay the caller's; columns of earlier results give way to the new ones.
    """
    import pandas as pd  # noqa: PLC0415 - see above

    kept = frame.iloc[[row - FIRST_ROW for row in rows]]
    own = kept.iloc[:, non_result_columns([str(name) for name in frame.columns])]
    return pd.concat([own, results[list(RESULT_COLUMNS)].set_axis(kept.index)], axis=1)


def table_of(rows: Sequence[Sequence[object]], columns: Sequence[str], index: "pd.Index | None") -> "pd.DataFrame":
    """Return rows as a DataFrame."""
    import pandas as pd  # noqa: PLC0415 - see above

    return pd.DataFrame(list(rows), columns=list(columns), index=index)


def read_verification(path: Path) -> "pd.DataFrame":
    """Return the file that `verify` writes as a DataFrame; `row` is a number, the others are texts. Raises OSError."""
    import pandas as pd  # noqa: PLC0415 - see above

    texts = pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8-sig")
    return texts.astype({"row": "int64"})


def check_dataframe(source: object) -> "pd.DataFrame":
    """Return the source as it is now, whatever the caller does to it later. Raises InputError when it is no sheet."""
    import pandas as pd  # noqa: PLC0415 - see above

    if not isinstance(source, pd.DataFrame):
        raise InputError(f"{type(source).__name__} is no source.", "give a path or a pandas DataFrame")
    if source.columns.nlevels > 1:
        raise InputError("the DataFrame has several rows of column names.", "give it one name for each column")
    return source.copy(deep=False)


def _blank_rows(texts: "pd.DataFrame") -> list[int]:
    """Return the positions of the rows in which no cell holds anything."""
    blank = list(range(len(texts)))
    for place in range(texts.shape[1]):
        cells = texts.iloc[blank, place].tolist()
        blank = [row for row, cell in zip(blank, cells, strict=True) if not cell.strip()]
    return blank


def dataframe_to_csv(frame: "pd.DataFrame", path: Path) -> None:
    """Write a DataFrame as a CSV file of text cells, which nobody else may read. Raises OSError."""
    try:
        texts = frame.astype(str)
    except UnicodeEncodeError:  # a cell with half a character, which pyarrow's strings can't hold
        texts = frame.map(lambda cell: encodable(cell) if isinstance(cell, str) else cell).astype(str)
    texts = texts.where(frame.notna(), MISSING)  # whatever it is called: NaN, NaT, <NA>, None
    texts.iloc[_blank_rows(texts)] = MISSING  # a blank line of a file would be no row
    path.touch(0o600)
    texts.to_csv(path, index=False, encoding="utf-8", errors=HALVES, lineterminator="\r\n")  # quotes \r too
