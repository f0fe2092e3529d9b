"""Windows, as far as it can be simulated: what its `os` and `signal` lack or refuse."""

import errno
import importlib
import os
import pkgutil
from types import ModuleType
from typing import Any

import pytest

import batch_updater

LACKS = frozenset({"chown", "fork", "geteuid", "getuid", "mkfifo", "pwrite"})


class WindowsOs(ModuleType):
    """The module `os` of Windows: a folder can't be opened, and a file that is open to be read can't be flushed."""

    name, O_BINARY = "nt", 0

    def __init__(self) -> None:
        super().__init__("os")
        self.read_only: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        if name in LACKS:
            raise AttributeError(f"module 'os' has no attribute {name!r}")
        return getattr(os, name)

    def open(self, path: Any, flags: int, *more: Any) -> int:
        """Open a file, as `os.open` does."""
        if os.path.isdir(path):  # noqa: PTH112 - as the system would look at it
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        handle = os.open(path, flags, *more)
        self.read_only.discard(handle)
        if not flags & (os.O_WRONLY | os.O_RDWR):
            self.read_only.add(handle)
        return handle

    def fsync(self, handle: int) -> None:
        """Flush a file, as `os.fsync` does."""
        if handle in self.read_only:
            raise OSError(errno.EBADF, "Bad file descriptor")
        os.fsync(handle)

    def close(self, handle: int) -> None:
        """Close a file, as `os.close` does."""
        self.read_only.discard(handle)
        os.close(handle)


def simulate_windows(monkeypatch: pytest.MonkeyPatch) -> WindowsOs:
    """Let the package find itself on Windows: its `os`, no `fcntl`, no `resource`, no signals in loops."""
    found = WindowsOs()
    names = [one.name for one in pkgutil.walk_packages(batch_updater.__path__, "batch_updater.")]
    for module in [importlib.import_module(name) for name in names if not name.endswith("__main__")]:
        for name, value in {"os": found, "fcntl": None, "resource": None}.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)

    def refuse(*_arguments: object) -> None:
        raise NotImplementedError

    for loop in ("asyncio.unix_events._UnixSelectorEventLoop", "uvloop.Loop"):
        for method in ("add_signal_handler", "remove_signal_handler"):
            monkeypatch.setattr(f"{loop}.{method}", refuse)
    monkeypatch.setattr("batch_updater.app.signals._HANG_UP", None)
    return found
