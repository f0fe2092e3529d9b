"""Update orders from a DataFrame: pick the rows in pandas, send them, print what was not done.

EVREKA360_BASE_URL and EVREKA360_ACCESS_TOKEN name the service and the account; the orders come from a CSV export.

    python samples/from_dataframe.py export.csv
"""

import sys

import pandas as pd

from batch_updater import BatchUpdaterError, run_batch_sync


def main(path: str) -> int:
    """Set every order of a cancelled round to Cancelled; return the run's exit status."""
    export = pd.read_csv(path, dtype=str, keep_default_na=False)
    cancelled = export.loc[export["round"] == "cancelled", ["order_id"]].assign(status="Cancelled")
    try:
        summary = run_batch_sync(cancelled)
    except BatchUpdaterError as error:  # nothing was sent
        print(error, file=sys.stderr)
        return error.exit_code
    results = summary.results()
    print(results["result"].value_counts().to_string())
    print(results.loc[results["result"] != "updated", ["order_id", "result", "result_detail"]].to_string(index=False))
    return summary.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
