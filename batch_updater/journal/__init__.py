"""The record of a run: its journal, its folder, its lock. The only user of SQL."""
