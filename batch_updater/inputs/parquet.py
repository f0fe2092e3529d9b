"""Parquet files, with the extra `parquet` installed."""

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from batch_updater.common.errors import InputError
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.table import Record, Table

BLOCK = 20_000


class ParquetTable(Table):
    """A Parquet file, read block by block. The first row is number 2, as if the header were above it."""

    def __init__(self, path: Path, name: Path, _options: ReadOptions) -> None:
        try:
            from pyarrow import parquet  # noqa: PLC0415 - an optional extra, and slow to load
        except ImportError:
            raise InputError(
                f"{name} is a Parquet file, and pyarrow is not installed.", "pip install 'batch-updater[parquet]'"
            ) from None
        self._name = name
        with _refuse_damage(name):
            self._file = parquet.ParquetFile(path)
        self.header = list(self._file.schema_arrow.names)
        self.description = "Parquet"

    def records(self) -> Generator[Record]:
        """Yield number and cells of each row."""
        number = 1
        with _refuse_damage(self._name):
            for batch in self._file.iter_batches(batch_size=BLOCK):
                columns = [column.to_pylist() for column in batch.columns]
                for values in zip(*columns, strict=True):
                    number += 1
                    yield number, [_text(value) for value in values], None


@contextlib.contextmanager
def _refuse_damage(name: Path) -> Iterator[None]:
    """Turn what pyarrow raises for a damaged file into an InputError."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise InputError(f"{name} is not a readable Parquet file ({error!s:.200}).", "copy it again") from None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
