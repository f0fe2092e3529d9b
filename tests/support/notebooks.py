"""A Jupyter kernel of a test's own: cells are run, interrupted, and read as a person would see them."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

PATIENCE = 60.0  # seconds


class Cell:
    """A cell under way: its output so far, and how it ended."""

    def __init__(self, client: BlockingKernelClient, code: str) -> None:
        self._client, self._id = client, client.execute(code)
        self.text, self.html, self.pictures = "", "", 0

    def wait(self) -> dict[str, Any]:
        """Wait for its end; return the kernel's reply."""
        until = time.monotonic() + PATIENCE
        while True:
            message = self._client.get_iopub_msg(timeout=until - time.monotonic())
            if message["parent_header"].get("msg_id") == self._id and self._is_last(message):
                break
        while True:
            reply = self._client.get_shell_msg(timeout=until - time.monotonic())
            if reply["parent_header"].get("msg_id") == self._id:
                return dict(reply["content"])

    def _is_last(self, message: dict[str, Any]) -> bool:
        content = message["content"]
        if message["msg_type"] == "stream":
            self.text += content["text"]
        elif message["msg_type"] in {"display_data", "update_display_data", "execute_result"}:
            self.pictures += message["msg_type"] != "execute_result"
            self.html = content["data"].get("text/html", self.html)
        elif message["msg_type"] == "error":
            self.text += "\n".join(content["traceback"])
        return message["msg_type"] == "status" and content["execution_state"] == "idle"


class Notebook:
    """A kernel that runs cells, as Jupyter does."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self._manager, self._client = manager, client

    def start(self, code: str) -> Cell:
        """Start a cell."""
        return Cell(self._client, code)

    def run(self, code: str) -> str:
        """Run a cell; return what it wrote."""
        cell = self.start(code)
        reply = cell.wait()
        assert reply["status"] == "ok", cell.text
        return cell.text

    def interrupt(self) -> None:
        """Do what the button does."""
        self._manager.interrupt_kernel()


@contextmanager
def kernel_manager() -> Iterator[KernelManager]:
    """What starts a kernel, ends it, and speaks to it over sockets of files: other tests may take a port meanwhile."""
    manager = KernelManager(kernel_name="python3")
    with tempfile.TemporaryDirectory() as sockets:
        if os.name != "nt":
            manager.transport, manager.ip = "ipc", f"{sockets}/kernel"
        try:
            yield manager
        finally:
            if manager.has_kernel:
                manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


@contextmanager
def notebook(folder: Path, env: dict[str, str]) -> Iterator[Notebook]:
    """A kernel in this folder, with this environment."""
    with kernel_manager() as manager:
        manager.start_kernel(cwd=str(folder), env={**env, "IPYTHONDIR": str(folder / "ipython")})
        client = manager.blocking_client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=PATIENCE)
            yield Notebook(manager, client)
        finally:
            client.stop_channels()
