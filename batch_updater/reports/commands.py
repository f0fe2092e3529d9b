"""The command lines that the program proposes."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from batch_updater.common.models import RunSummary
from batch_updater.common.settings import Settings
from batch_updater.inputs.selection import RESUME_KEYS
from batch_updater.journal.facts import RunFacts
from batch_updater.journal.run_folder import JOURNAL, UNDO_SHEET


def resume_command(summary: RunSummary, facts: RunFacts) -> list[str]:
    """The command that picks this run up again, with the choices that must be the same."""
    sheet = Path(summary.input)
    if sheet.name == UNDO_SHEET and (sheet.parent / JOURNAL).is_file():
        return ["undo", str(sheet.parent)]
    words = ["run", summary.input]
    choices = {**facts.reading, "on_conflict": facts.on_conflict}
    for name, value in choices.items():
        if value and (name, value) not in (("on_conflict", "hold"), ("order_by", "id")):
            text = ",".join(value) if isinstance(value, list) else str(value)
            words += ["--" + name.replace("_", "-"), "tab" if text == "\t" else text]
    if facts.compare and not choices.get("expect_column"):
        words.append("--compare")
    return words


_PROGRAM = "batch-updater"


def next_step(summary: RunSummary, command: Sequence[str]) -> tuple[str, list[str]]:
    """What to type next, and why. `command` is what was typed after the program's name."""
    counts = summary.result_counts
    if summary.resumable:
        same = [word for word in command if word != "--restart"]  # it would leave this very run
        why = "To go on" if summary.input != "-" else "To go on, with the same data on stdin"
        return why, [_PROGRAM, *(same if same[:1] in (["run"], ["undo"]) else ["run", summary.input])]
    if not summary.results_file:
        return "When there is space, to write the results", [_PROGRAM, "results", summary.run_dir]
    again = {"To try those again": ("failed", "unknown"), "After correcting those": ("invalid", "conflict")}
    for why, words in again.items():
        if found := [word for word in words if counts.get(word)]:
            return why, [_PROGRAM, "run", summary.results_file, "--only", ",".join(found)]
    return "To read every order back", [_PROGRAM, "verify", summary.run_dir]


def _earlier_command(file: Path, facts: RunFacts) -> str:
    """The command line that asks for what a run was planned for, options that have their default left out."""
    words = ["batch-updater", "run", str(file), "--base-url", facts.base_url]
    asked = {**facts.reading, "on_conflict": facts.on_conflict, "compare": facts.compare}
    for key in ("on_conflict", "compare", *sorted(RESUME_KEYS)):
        value, option = asked.get(key), "--" + key.replace("_", "-")
        if not value or value == Settings.model_fields[key].default:
            continue
        if key == "where":
            words += [word for condition in value for word in (option, condition)]
        else:
            words += [option] if value is True else [option, ",".join(value) if isinstance(value, list) else str(value)]
    return shlex.join(words)
