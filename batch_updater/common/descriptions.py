"""What each setting means, in a sentence or two: the source for `--help` and for the fields of `Settings`.

Standard library only, so that `--help` is quick.
"""

from collections.abc import Callable

from batch_updater.common.remedies import Remedy

_DESCRIPTIONS = {
    "config": "Config file.",
    "profile": "Named settings of the config file.",
    "base_url": "The service's address; usually from EVREKA360_BASE_URL.",
    "ca_file": "Certificate authorities to trust (PEM), in place of the system's.",
    "proxy": "http:// or https:// proxy to the service, without credentials: they come from"
    " BATCH_UPDATER_PROXY_USER and BATCH_UPDATER_PROXY_PASS.",
    "order_column": "Header of the column with order ids.",
    "status_column": "Header of the column with statuses to set, ids or names.",
    "set_status": "Every row gets this status, id or name; no column is needed.",
    "sheet": "Excel sheet by name or 1-based number.",
    "encoding": "Encoding of a CSV file that is not UTF-8, e.g. cp1254.",
    "delimiter": "Delimiter of a CSV file: , ; | or tab.",
    "header_row": "Row of the column headers.",
    "include_hidden": "Hidden and filtered rows are sent as well.",
    "max_cells": "Refuse an Excel sheet of more cells.",
    "password_file": "File with the password of an Excel workbook.",
    "only": "The sheet is a result file: take only rows with these results; not-done: all that are not done.",
    "where": "Take only rows with (!=: without) this value, in any letter case; repeatable.",
    "rows": "Take only these rows, e.g. 2-500 or 2-500,700.",
    "limit": "Take only the first N rows of those chosen.",
    "on_conflict": "One order with several statuses: send none, the first, the last, or each in turn.",
    "strict": "Any invalid or conflicting row: send nothing, exit 4.",
    "compare": "Read each order just before; leave it alone when it has the status already. Needed for `undo`.",
    "compare_list": "As {compare}, but read the paged list once where that is fewer requests.",
    "order_by": "What the order column holds.",
    "expect_column": "Column with the status an order must have now, else it is not sent.",
    "canary": "Send N rows first, read them back, go on if right.",
    "status_map": "Own words for statuses, each with the id or name of the status it means.",
    "columns": "Own headers of the columns `order`, `status` and `expected`, each a list.",
    "confirmations": "Other words of a 200 or 201 that confirm an update.",
    "production": "Sending asks for the number of rows to be typed.",
    "concurrency": "Most requests in flight.",
    "rate": "Most requests per second, all kinds together.",
    "adapt": "Search the highest rate that the service accepts, once it has refused something.",
    "timeout": "Seconds for one attempt, in all.",
    "retries": "Further attempts for one row.",
    "max_failures": "Stop when more rows of the run have failed.",
    "outage_budget": "Seconds to wait for a silent service.",
    "output": "The result file: .csv, .xlsx, .xlsm, .jsonl.",
    "overwrite": "Replace an existing {output} file.",
    "runs_dir": "Where run folders are made.",
    "restart": "Leave the sheet's unfinished run, start a new one.",
    "carry_over": "The sheet has changed since its unfinished run: keep what is done there, send the rest.",
    "log_format": "How the log is written.",
    "metrics_file": "Write Prometheus metrics there, every 10 s and at the end.",
    "metrics_port": "Serve Prometheus metrics during the run.",
}


def describe_setting(name: str, write: Callable[[str], str] = str) -> str:
    """Return what a setting means; `write` spells the other settings that it names. Raises KeyError."""
    return Remedy.read(_DESCRIPTIONS[name]).render(write)
