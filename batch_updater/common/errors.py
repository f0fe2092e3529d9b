"""Every exception the package raises, and the exit status each one means."""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Self

from batch_updater.common.remedies import Remedy, as_option
from batch_updater.common.text import escape_controls

Hint = str | Remedy


class ExitCode(IntEnum):
    """Exit statuses of the command line program."""

    DONE = 0
    BUG = 1
    USAGE = 2
    NOT_ALL_DONE = 3
    BAD_INPUT = 4
    CREDENTIALS = 5
    STOPPED = 6
    LOCKED = 7
    INTERRUPTED = 130
    TERMINATED = 143


class BatchUpdaterError(Exception):
    """Base of every error that is raised on purpose: what is wrong and what to do next, one or several lines of each.

    Control characters in a line are escaped. `said` and `remedies` are the message and the next steps, typed; `message`
    and `hint` have one line for each, and one for a command, in the words of the command line until they are reworded.
    `exit_code` is the exit status of the program when nothing catches the error.
    """

    exit_code = ExitCode.BUG

    def __init__(self, message: Hint | Sequence[Hint], hint: Hint | Sequence[Hint] = ()) -> None:
        super().__init__(message)
        self.said, self.remedies = _typed(message), _typed(hint)
        self.reworded(as_option)

    def reworded(self, write: Callable[[str], str]) -> Self:
        """Put message and hint into the words of another face, which spells settings by `write`; return the error."""
        self.message = _lines([said.render(write) for said in self.said], "\n  ")
        self.hint = _lines([line for remedy in self.remedies for line in _hint_lines(remedy, write)], "\n        ")
        return self

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


def _typed(words: Hint | Sequence[Hint]) -> tuple[Remedy, ...]:
    lines = [words] if isinstance(words, Hint) else words
    return tuple(Remedy("{text}", {"text": one}) if isinstance(one, str) else one for one in lines if one)


def _hint_lines(remedy: Remedy, write: Callable[[str], str]) -> Sequence[str]:
    """Return the sentence and, on a line of its own, the command: a line break within either is none of them."""
    said = remedy.render(write)
    sentence, line_break, command = said.rpartition(":\n  ") if remedy.command else (said, "", "")
    return [f"{sentence}:", f"  {command}"] if line_break else [sentence]


def _lines(lines: Sequence[str], between: str) -> str:
    return between.join(map(escape_controls, lines))


class SettingsError(BatchUpdaterError):
    """An option, environment variable or config file is wrong; nothing was sent."""

    exit_code = ExitCode.USAGE


class NoCredentialsError(SettingsError):
    """There is neither a token nor the values to sign in with."""


class InputError(BatchUpdaterError):
    """The sheet can't be used; nothing was sent."""

    exit_code = ExitCode.BAD_INPUT


class CredentialsError(BatchUpdaterError):
    """The service refused the credentials; the run can be resumed."""

    exit_code = ExitCode.CREDENTIALS


class StoppedError(BatchUpdaterError):
    """Sending had to stop early (service down, redirect, disk full); the run can be resumed."""

    exit_code = ExitCode.STOPPED


class BlockedError(StoppedError):
    """No connection can be made until you change something: certificates, a proxy; the run can be resumed."""


class AddressError(StoppedError):
    """Somebody answers at the address of the service, but not as the service does; the run can be resumed."""


class LockedError(BatchUpdaterError):
    """Another run of the same input is under way."""

    exit_code = ExitCode.LOCKED


class ResumeError(SettingsError):
    """An unfinished run can't be resumed with these settings; nothing was sent."""


class JournalError(StoppedError):
    """The journal can't be written or read: nothing may be sent after that."""
