"""Send a planned run: a worker pool, the handling of one row, its requests."""
