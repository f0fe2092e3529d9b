"""DataFrames in and out; the only user of pandas, which is loaded when it is needed: it takes half a second."""

from pathlib import Path
from typing import TYPE_CHECKING

from batch_updater.inputs.options import EXCEL

if TYPE_CHECKING:
    import pandas as pd

SUMMARY_SHEET = "batch-updater summary"  # the sheet of a result file that holds counts, not rows


def read_results(path: Path) -> "pd.DataFrame":
    """A result file as a DataFrame of text cells. Raises OSError."""
    import pandas as pd  # noqa: PLC0415 - see above

    if path.suffix.lower() == ".jsonl":
        return pd.read_json(path, lines=True, dtype=False)
    if path.suffix.lower() in EXCEL:
        sheets = pd.read_excel(path, sheet_name=None, engine="calamine", dtype=str, keep_default_na=False)
        rows = [frame for name, frame in sheets.items() if name != SUMMARY_SHEET]
        return pd.concat(rows, ignore_index=True)
    return pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8-sig")


def dataframe_to_csv(frame: "pd.DataFrame", path: Path) -> None:
    """Keep a DataFrame as a CSV file of text cells."""
    frame.astype(str).to_csv(path, index=False, encoding="utf-8")
