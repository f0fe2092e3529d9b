"""What a run is asked to do, checked once."""

from dataclasses import dataclass
from pathlib import Path

from batch_updater.errors import SettingsError

CONFLICT_CHOICES = ("hold", "first", "last")
RESULT_SUFFIXES = (".csv", ".xlsx", ".jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every choice of a run. Times are seconds, `rate` is requests per second. Raises SettingsError."""

    order_column: str | None = None
    status_column: str | None = None
    sheet: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    on_conflict: str = "hold"
    strict: bool = False
    concurrency: int = 20
    rate: float | None = None
    timeout: float = 30.0
    retries: int = 5
    output: Path | None = None
    overwrite: bool = False
    runs_dir: Path | None = None

    def __post_init__(self) -> None:
        for name, value, lowest, highest in (
            ("concurrency", self.concurrency, 1, 1000),
            ("rate", self.rate, 0.01, 1_000_000),
            ("timeout", self.timeout, 0.05, 3600),
            ("retries", self.retries, 0, 100),
        ):
            if value is not None and not lowest <= value <= highest:
                raise SettingsError(f"--{name} {value} is out of range.", f"use {lowest} to {highest}")
        if self.on_conflict not in CONFLICT_CHOICES:
            raise SettingsError(f"--on-conflict {self.on_conflict} is unknown.", f"use {', '.join(CONFLICT_CHOICES)}")
        if self.output and self.output.suffix.lower() not in RESULT_SUFFIXES:
            raise SettingsError(f"--output {self.output} has no known ending.", f"use {', '.join(RESULT_SUFFIXES)}")
        if self.output and self.output.exists() and not self.overwrite:
            raise SettingsError(f"{self.output} exists already.", "add --overwrite, or choose another name")
