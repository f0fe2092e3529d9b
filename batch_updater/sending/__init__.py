"""Send a planned run: a worker pool, one row's way to its outcome, its requests."""
