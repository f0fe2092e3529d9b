"""The outputs of a run: result file, summary, report, metrics."""
