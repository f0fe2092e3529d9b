"""What a run is asked to do: options over environment over config file, checked once."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, ValidationInfo, field_validator

from batch_updater.common.config_file import ABOUT_THE_CALL, find_config, read_config
from batch_updater.common.descriptions import describe_setting
from batch_updater.common.errors import SettingsError
from batch_updater.common.files import whole_path
from batch_updater.common.models import NOT_DONE, Result
from batch_updater.common.remedies import as_argument, as_option
from batch_updater.common.setting_errors import as_configured, did_you_mean, explain_wrong_setting

RESULT_SUFFIXES = (".csv", ".xlsx", ".xlsm", ".jsonl")
PREFIX = "BATCH_UPDATER_"
BASE_URL_NAME = "EVREKA360_BASE_URL"
ALL_NOT_DONE = "not-done"  # stands for every result that is not done
OWN_WORDS = ("order", "status", "expected")  # columns that can have headers of a person's own
_FILE = {"config", "profile"}  # which settings are read, so they can't be among them
GONE = {  # settings of earlier versions, and why
    "wire": "the program chooses by itself how it sends requests",
    "forget_rate": "no run remembers the rate of an earlier one",
}


def split_condition(condition: str) -> tuple[str, bool, str]:
    """Return the column and the value of a condition, and between them whether it excludes that value: `!=`."""
    column, _sign, value = condition.partition("=")
    bare = column.rstrip().removesuffix("!")
    return bare.strip(), bare != column.rstrip(), value.strip()


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How requests are sent. `rate` is requests per second, `timeout` and `outage_budget` are seconds."""

    concurrency: int = 20
    rate: float | None = None
    adapt: bool = True
    timeout: float = 30.0
    retries: int = 5
    outage_budget: float = 300.0
    canary: int = 0
    compares: bool = False
    compare_list: bool = False


class Settings(BaseModel):
    """Every choice of a run; what is wrong raises SettingsError. Times are seconds, `rate` is requests per second.

    It can't be changed; `settings.with_changes(rate=50)` returns a changed copy.
    `config` and `profile` say which file the settings come from; to read one there is `load_settings`.
    `model_fields_set` has what the caller names himself: what is typed, not what file and environment say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    config: Path | None = None
    profile: str | None = None
    base_url: str | None = None
    ca_file: Path | None = None
    proxy: str | None = Field(None, repr=False)  # it may hold a password until it is checked, and refused
    order_column: str | None = None
    status_column: str | None = None
    set_status: str | None = Field(None, min_length=1)
    sheet: str | None = Field(None, coerce_numbers_to_str=True)
    encoding: str | None = None
    delimiter: Annotated[str, StringConstraints(strip_whitespace=False)] | None = None  # it may be a tab
    header_row: int | None = Field(None, ge=1, le=1_048_576)
    include_hidden: bool = False
    max_cells: int = Field(25_000_000, ge=1, le=2_000_000_000)
    password_file: Path | None = None
    only: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    rows: str | None = None
    limit: int | None = Field(None, ge=1)
    on_conflict: Literal["hold", "first", "last", "sequence"] = "hold"
    strict: bool = False
    compare: bool = False
    compare_list: bool = False
    order_by: Literal["id", "name"] = "id"
    expect_column: str | None = None
    canary: int = Field(0, ge=0, le=10_000)
    status_map: dict[str, str] = {}
    columns: dict[str, tuple[str, ...]] = {}
    confirmations: tuple[str, ...] = ()
    production: bool = False
    concurrency: int = Field(20, ge=1, le=1000)
    rate: float | None = Field(None, gt=0, le=1_000_000)
    adapt: bool = True
    timeout: float = Field(30.0, gt=0, le=3600)
    retries: int = Field(5, ge=0, le=100)
    max_failures: str | None = None
    outage_budget: float = Field(300.0, ge=0, le=86_400)
    output: Path | None = None
    overwrite: bool = False
    runs_dir: Path | None = None
    restart: bool = False
    carry_over: bool = False
    log_format: Literal["text", "json"] = "text"
    metrics_file: Path | None = None
    metrics_port: str | None = Field(None, coerce_numbers_to_str=True)

    if not TYPE_CHECKING:  # a type checker knows the arguments by the fields

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise explain_wrong_setting(error, type(self).model_fields) from None

        def __setattr__(self, name: str, value: Any) -> None:
            try:
                super().__setattr__(name, value)
            except (ValidationError, ValueError):
                raise SettingsError("Settings can't be changed.", f"use with_changes({name}=…)") from None

    def with_changes(self, **changes: Any) -> Self:
        """Return these settings with other values for some, checked like new ones. Raises SettingsError."""
        return type(self).model_construct(self.model_fields_set | changes.keys(), **dict(overlaid(self, changes)))

    @field_validator("set_status")
    @classmethod
    def _without_column(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("status_column") is not None:
            raise ValueError("it gives every row its status, so leave out {status_column}")
        return value

    @field_validator("carry_over")
    @classmethod
    def _not_in_turn(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("on_conflict") == "sequence":
            raise ValueError("with {on_conflict} sequence an order has several statuses in turn")
        if value and info.data.get("restart"):
            raise ValueError("{restart} leaves what is done; choose one of the two")
        return value

    @field_validator("only", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @field_validator("only")
    @classmethod
    def _results(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        words = [one for word in value for one in (map(str, NOT_DONE) if word == ALL_NOT_DONE else [word])]
        if set(words) - set(Result):
            raise ValueError(f"the results are {', '.join(Result)}, or {ALL_NOT_DONE} for all that are not done")
        return tuple(dict.fromkeys(words))

    @field_validator("where", mode="before")
    @classmethod
    def _conditions(cls, value: object) -> object:
        conditions = tuple(value.split("\n")) if isinstance(value, str) else value
        for condition in conditions if isinstance(conditions, tuple | list) else ():
            column, _excludes, _value = split_condition(str(condition))
            if "=" not in str(condition) or not column:
                raise ValueError("use 'Column=value' or 'Column!=value'")
        return conditions or ()

    @field_validator("confirmations", mode="before")
    @classmethod
    def _lines(cls, value: object) -> object:
        return tuple(line for line in value.split("\n") if line.strip()) if isinstance(value, str) else value

    @field_validator("columns", mode="before")
    @classmethod
    def _own_words(cls, value: object) -> object:
        if not isinstance(value, dict) or set(value) - set(OWN_WORDS):
            raise ValueError(f"it has headers of your own for {', '.join(OWN_WORDS)}")
        found = {name: [words] if isinstance(words, str) else words for name, words in value.items()}
        for name, words in found.items():
            if not isinstance(words, list | tuple) or not all(isinstance(one, str) and one.strip() for one in words):
                raise ValueError(f"{name} must be a list of headers")
        return found

    @field_validator("rows", mode="before")
    @classmethod
    def _ranges(cls, value: object) -> object:
        if value is None:
            return None
        for part in str(value).split(","):
            found = re.fullmatch(r"\s*([1-9][0-9]{0,8})\s*(?:-\s*([1-9][0-9]{0,8})?\s*)?", part, re.ASCII)
            if not found or (found[2] and int(found[2]) < int(found[1])):
                raise ValueError("use rows like 2-500 or 2-500,700,900-")
        return str(value)

    @field_validator("max_failures", mode="before")
    @classmethod
    def _number_or_share(cls, value: object) -> object:
        value = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(value, str) and not re.fullmatch(r"[0-9]+|(100|[0-9]{1,2})%", value.strip(), re.ASCII):
            raise ValueError("use a number of rows, or a share of at most 100%")
        return value

    @field_validator("compare", mode="before")
    @classmethod
    def _no_word(cls, value: object) -> object:
        if value in ("each", "list"):
            raise ValueError("it is on or off; {compare_list} reads the paged list")
        return value

    @field_validator("delimiter")
    @classmethod
    def _one_mark(cls, value: str | None) -> str | None:
        word = (value or "").strip() or value
        named = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}.get(word or "", word)
        if named is not None and named not in {",", ";", "\t", "|"}:
            raise ValueError("use , ; | or tab")
        return named

    @field_validator("output")
    @classmethod
    def _known_ending(cls, value: Path | None) -> Path | None:
        if value is not None and value.suffix.lower() not in RESULT_SUFFIXES:
            raise ValueError(f"it must end in {', '.join(RESULT_SUFFIXES)}")
        return value

    @property
    def compares(self) -> bool:
        """Whether orders are read before they are updated; an expected status can't be checked otherwise.

        Rows that an earlier run left unknown may have been applied, so they are never sent unread.
        """
        reads = self.compare or self.compare_list or self.expect_column is not None
        return reads or Result.UNKNOWN in self.only

    @property
    def sending(self) -> SendOptions:
        """The settings that matter for sending."""
        return SendOptions(**{field.name: getattr(self, field.name) for field in fields(SendOptions)})

    def failure_limit(self, rows: int) -> int | None:
        """Return how many of `rows` to send may fail; None when there is no limit."""
        if self.max_failures is None:
            return None
        if self.max_failures.endswith("%"):
            return rows * int(self.max_failures[:-1]) // 100
        return int(self.max_failures)


for _name, _field in Settings.model_fields.items():
    _field.description = describe_setting(_name, as_argument)
    Settings.__doc__ = f"{Settings.__doc__}\n    {_name} [{_field.default!r}]: {_field.description}"
Settings.model_rebuild(force=True)
PATHS = frozenset(name for name, field in Settings.model_fields.items() if field.annotation == Path | None)


def overlaid(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Return the settings with these values in place of their own; what the caller has named stays the same."""
    checked = Settings(**{**dict(settings), **values})
    return Settings.model_construct(settings.model_fields_set, **dict(checked))


def as_facts(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain JSON types; paths are whole, for they are read in other working folders, too."""
    values = dict(settings)
    whole = {name: whole_path(values[name]) for name in PATHS if values[name] is not None}
    return settings.model_copy(update=whole).model_dump(mode="json")


def load_settings(
    options: Mapping[str, Any],
    environment: Mapping[str, str] = os.environ,
    config: Path | None = None,
    profile: str | None = None,
) -> Settings:
    """Return options (None: not given) over `BATCH_UPDATER_*` over the config file. Raises SettingsError."""
    given = {name: value for name, value in options.items() if value is not None}
    config = config or (Path(named) if (named := environment.get(f"{PREFIX}CONFIG")) else None)
    profile = profile or environment.get(f"{PREFIX}PROFILE") or None
    merged = {name: value for name, value in read_config(config, profile).items() if name not in ABOUT_THE_CALL}
    if inside := next((name for name in _FILE if name in merged), None):
        raise SettingsError(f"The config file has an unknown setting {inside!r}.", f"use {as_option(inside)} instead")
    for name in (*Settings.model_fields.keys() - _FILE, *GONE):
        if (value := environment.get(PREFIX + name.upper())) not in {None, ""}:
            merged[name] = value
    if environment.get(BASE_URL_NAME):
        merged["base_url"] = environment[BASE_URL_NAME]
    for one, other in (("set_status", "status_column"), ("status_column", "set_status")):
        if one in given and other not in given:
            merged.pop(other, None)  # what is typed wins over a file that is meant for other sheets
    merged.update(given)
    for name in GONE.keys() & merged.keys():
        raise SettingsError(f"The setting {name!r} is gone: {GONE[name]}.", "leave it out")
    for name in merged.keys() - Settings.model_fields.keys():
        raise SettingsError(
            f"The config file has an unknown setting {name!r}.", did_you_mean(name, Settings.model_fields)
        )
    try:
        loaded = Settings(**merged, config=find_config(config), profile=profile)
    except SettingsError as error:
        raise error.reworded(as_configured) from None
    return Settings.model_construct(given.keys() & Settings.model_fields.keys(), **dict(loaded))
