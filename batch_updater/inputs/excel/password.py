"""Workbooks with a password, with the extra `password` installed. The plain copy is private and temporary."""

import contextlib
import getpass
import struct
import sys
import tempfile
import weakref
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.parsers.expat import ExpatError  # msoffcrypto parses the XML about the key

from batch_updater.common.errors import InputError
from batch_updater.common.remedies import Remedy
from batch_updater.common.secret import Secret
from batch_updater.inputs.archive import check_zip
from batch_updater.inputs.excel.ole import OleError
from batch_updater.inputs.excel.result_sheets import open_excel
from batch_updater.inputs.selection import ReadOptions
from batch_updater.inputs.table import Table

_ADVICE = Remedy("save it in Excel without a password, or use {password_file} FILE")
_DAMAGE = (LookupError, ValueError, TypeError, AttributeError, struct.error, ExpatError)  # what msoffcrypto raises
_SMALLEST = 4096  # bytes; msoffcrypto damages some of what is smaller


def open_encrypted(path: Path, name: Path, options: ReadOptions) -> Table:
    """Open a workbook with a password. Its plain copy, in a private folder, is deleted with the table.

    Raises InputError when there is no password or not the right one, OleError when the file is damaged.
    """
    with contextlib.ExitStack() as stack:
        folder = tempfile.TemporaryDirectory(prefix="batch-updater-", ignore_cleanup_errors=True)
        plain = Path(stack.enter_context(folder)) / "plain.xlsx"
        password = _decrypt(path, plain, name, options.password_file)
        check_zip(plain, name)
        table = open_excel(plain, name, options)
        table.password = password
        weakref.finalize(table, stack.pop_all().close)
    return table


@contextlib.contextmanager
def decrypted(path: Path, password: Secret) -> Iterator[Path]:
    """Yield the plain copy of a workbook that this program has encrypted; it is private, and deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="batch-updater-", ignore_cleanup_errors=True) as folder:
        plain = Path(folder) / "plain.xlsx"
        _unlock(path, plain, password.reveal())
        yield plain


def encrypt(plain: Path, target: Path, password: Secret) -> None:
    """Write a plain workbook with a password. Raises OSError."""
    from msoffcrypto.method.ecma376_agile import ECMA376Agile  # noqa: PLC0415 - an optional extra

    if (missing := _SMALLEST - plain.stat().st_size) > 0:
        with zipfile.ZipFile(plain, "a") as archive:
            archive.comment = b" " * missing
    with plain.open("rb") as stream:  # OOXMLFile, its front, refuses content types in another spelling
        target.write_bytes(ECMA376Agile.encrypt(password.reveal(), stream))


def _decrypt(path: Path, plain: Path, name: Path, password_file: Path | None) -> Secret:
    """Write the plain workbook and return its password. Without a password file, ask for the password on a terminal."""
    if password_file is None and not sys.stdin.isatty():
        raise InputError(f"{name} is protected with a password.", _ADVICE)
    try:
        from msoffcrypto.exceptions import DecryptionError, FileFormatError  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise InputError(
            f"{name} is protected with a password, and msoffcrypto-tool is not installed.",
            "pip install 'batch-updater[password]', or save the sheet without a password",
        ) from None
    password = _read(password_file, name) if password_file else getpass.getpass(f"Password of {name}: ")
    try:
        _unlock(path, plain, password)
    except DecryptionError:
        given = f"The password in {password_file}" if password_file else "This password"
        raise InputError(f"{given} does not open {name}.", "correct it") from None
    except (FileFormatError, *_DAMAGE) as error:
        raise OleError(f"is damaged ({error})") from None
    return Secret(password)


def _unlock(path: Path, plain: Path, password: str) -> None:
    from msoffcrypto.format.ooxml import OOXMLFile  # noqa: PLC0415 - an optional extra

    with path.open("rb") as stream, plain.open("wb") as target:
        locked = OOXMLFile(stream)
        locked.load_key(password=password, verify_password=True)
        locked.decrypt(target)


def _read(password_file: Path, name: Path) -> str:
    try:
        return password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{password_file}, the password for {name}, can't be read: {error}.", _ADVICE) from None
