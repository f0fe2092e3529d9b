"""Workbooks with a password, with the extra `password` installed. The plain copy is private and does not last."""

import getpass
import shutil
import sys
import tempfile
from pathlib import Path

from batch_updater.common.errors import InputError
from batch_updater.common.remedies import Remedy

_HOW = Remedy("save it in Excel without a password, or use {password_file} FILE")


def without_password(path: Path, name: Path, password_file: Path | None) -> Path:
    """The plain workbook, alone in a folder that only this user can read; whoever asked for it removes the folder.

    Without a file it is asked for, where there is a terminal.
    Raises InputError when there is no password, or not the right one.
    """
    if password_file is None and not sys.stdin.isatty():
        raise InputError(f"{name} is protected with a password.", _HOW)
    try:
        from msoffcrypto import OfficeFile  # noqa: PLC0415 - an optional extra
        from msoffcrypto.exceptions import DecryptionError, InvalidKeyError, ParseError  # noqa: PLC0415 - the same
    except ImportError:
        raise InputError(
            f"{name} is protected with a password, and msoffcrypto-tool is not installed.",
            "pip install 'batch-updater[password]', or save the sheet without a password",
        ) from None
    password = _read(password_file, name) if password_file else getpass.getpass(f"Password of {name}: ")
    plain = Path(tempfile.mkdtemp(prefix="batch-updater-")) / "plain.xlsx"
    try:
        with path.open("rb") as stream, plain.open("wb") as target:
            locked = OfficeFile(stream)
            locked.load_key(password=password, verify_password=True)
            locked.decrypt(target)
    except (DecryptionError, InvalidKeyError, ParseError, ValueError, OSError):
        shutil.rmtree(plain.parent, ignore_errors=True)
        given = f"The password in {password_file}" if password_file else "This password"
        raise InputError(f"{given} does not open {name}.", "correct it") from None
    return plain


def _read(password_file: Path, name: Path) -> str:
    try:
        return password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{password_file}, the password for {name}, can't be read: {error}.", _HOW) from None
