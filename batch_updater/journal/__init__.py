"""The truth about a run: its journal, its folder, its lock. The only place that knows SQL."""
