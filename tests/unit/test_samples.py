"""The recipes for schedulers say what their schedulers understand, and options that exist."""

import ast
import configparser
import contextlib
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
import yaml

from batch_updater.cli.commands import commands
from batch_updater.common.errors import ExitCode
from batch_updater.common.settings import Settings

SAMPLES = Path(__file__).parents[2] / "samples"
SCHEDULE = SAMPLES / "schedule"
TIME = r"[0-9*,/-]+"


def unit(name: str) -> configparser.ConfigParser:
    """A systemd unit; the last of several equal keys is kept."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as the standard library documents it
    parser.read(SCHEDULE / name, encoding="utf-8")
    return parser


def cron_line() -> str:
    """The one line of the crontab that starts something."""
    lines = (SCHEDULE / "crontab").read_text().splitlines()
    (line,) = [line for line in lines if re.match(r"[0-9*]", line)]
    return line


def container() -> dict[str, Any]:
    """The container of the CronJob."""
    job = yaml.safe_load((SCHEDULE / "cronjob.yaml").read_text())
    (found,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def airflow_call() -> dict[str, Any]:
    """The arguments of the operator in the DAG, those that are constants."""
    tree = ast.parse((SCHEDULE / "airflow_dag.py").read_text())
    (call,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "BashOperator"
    ]
    return {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg and k.arg != "retry_delay"}


def sample_commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line of the program in the samples, as the scheduler would hand it over."""
    yield "crontab", shlex.split(cron_line().replace("\\%", "%"))
    yield "batch-updater.service", shlex.split(unit("batch-updater.service")["Service"]["ExecStart"].replace("%%", "%"))
    yield "cronjob.yaml", [*container()["command"], *container()["args"]]
    yield "airflow_dag.py", shlex.split(airflow_call()["bash_command"])
    for path in SAMPLES.glob("*.toml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "# batch-updater " in line:
                yield path.name, shlex.split(line.split("# ", 1)[1])


@pytest.mark.parametrize(("name", "words"), list(sample_commands()))
def test_every_command_in_the_samples_is_understood(name: str, words: list[str]) -> None:
    """Each command exists and takes these options; schedulers compare, never ask, and limit the failures."""
    start = next(n for n, word in enumerate(words) if Path(word).name == "batch-updater")
    command, *arguments = words[start + 1 :]
    found = commands.commands[command]
    context = found.make_context(command, arguments)
    assert isinstance(found, click.Command)
    assert name.endswith(".toml") or (
        context.params["compare"], context.params["yes"], context.params["max_failures"]
    ) == (True, True, "2%")  # fmt: skip


def test_the_cron_line_is_one_line_of_cron() -> None:
    """Five fields of time, then a command in which every % is escaped, for cron reads a bare one as a line end."""
    assert re.fullmatch(rf"(?:{TIME} ){{5}}\S.*", cron_line())
    assert re.findall(r"(.)%", cron_line()) == ["\\"]


@pytest.mark.parametrize("name", ["batch-updater.service", "batch-updater.timer"])
def test_a_systemd_unit_is_valid(tmp_path: Path, name: str) -> None:
    """systemd itself finds nothing to complain of, where it is there; else the sections are those of its kind."""
    kind = {"service": "Service", "timer": "Timer"}[name.rsplit(".", maxsplit=1)[-1]]
    assert {"Unit", kind} <= set(unit(name).sections()) <= {"Unit", kind, "Install"}
    if not shutil.which("systemd-analyze"):
        return
    for path in SCHEDULE.glob("batch-updater.*"):
        content = path.read_text().replace("/opt/batch-updater/bin/batch-updater", "/bin/true")
        (tmp_path / path.name).write_text(content)
    words = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / name)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    about_us = [line for line in (ended.stdout + ended.stderr).splitlines() if "batch-updater" in line]
    assert about_us == []


def test_the_units_map_the_exit_statuses() -> None:
    """Only what time may heal is started again; a stop is no failure, and there is time to let requests finish."""
    service = unit("batch-updater.service")["Service"]
    final = {ExitCode.BUG, ExitCode.USAGE, ExitCode.NOT_ALL_DONE, ExitCode.BAD_INPUT, ExitCode.CREDENTIALS}
    assert {int(code) for code in service["RestartPreventExitStatus"].split()} == final
    assert service["SuccessExitStatus"] == str(int(ExitCode.TERMINATED))
    assert int(service["TimeoutStopSec"]) > 30
    assert unit("batch-updater.timer")["Timer"]["OnCalendar"] == "Mon..Sat 02:15"


def test_the_cron_job_maps_the_exit_statuses() -> None:
    """Codes for a person fail the job at once, the others are tried again; what Kubernetes demands besides is there."""
    job = yaml.safe_load((SCHEDULE / "cronjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    spec = job["spec"]["jobTemplate"]["spec"]
    fail, ignore = spec["podFailurePolicy"]["rules"]
    assert (fail["action"], fail["onExitCodes"]["operator"]) == ("FailJob", "In")
    values = fail["onExitCodes"]["values"]
    assert values == sorted(set(values)), "Kubernetes wants them in order, each once, without 0"
    retried = {ExitCode.STOPPED, ExitCode.LOCKED, ExitCode.INTERRUPTED, ExitCode.TERMINATED}
    assert set(values) == set(ExitCode) - {ExitCode.DONE} - retried
    assert ignore == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    pod = spec["template"]["spec"]
    assert fail["onExitCodes"]["containerName"] == pod["containers"][0]["name"]
    assert pod["restartPolicy"] == "Never"
    assert pod["terminationGracePeriodSeconds"] > 30
    mounted = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == mounted
    assert job["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_dag_takes_no_exit_status_for_skipped() -> None:
    """Airflow's default shows status 99 as skipped; here every status but 0 fails the task."""
    call = airflow_call()
    assert call["skip_on_exit_code"] is None
    assert call["retries"] >= 1
    assert call["append_env"] is True
    assert not call["bash_command"].endswith(".sh"), "Airflow would look for a template of that name"


@pytest.mark.parametrize("path", sorted(SCHEDULE.iterdir()), ids=lambda path: path.name)
def test_a_recipe_names_a_file_for_the_token_never_the_token(path: Path) -> None:
    """Secrets come from files: no recipe shows a place where a token would be written into it."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(ACCESS_TOKEN|_SECRET|_PASS)\s*[=:]", text)
    if path.suffix != ".timer":
        assert "EVREKA360_ACCESS_TOKEN_FILE" in text


def install_lines(path: Path) -> list[str]:
    """The commands in the comments of a recipe, that are typed once in the repository's folder."""
    found = re.findall(r"^#   (\S.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return [line for line in found if not re.match(r"[A-Z0-9_]+=|[0-9]", line)]


@pytest.mark.parametrize("name", ["crontab", "batch-updater.service", "cronjob.yaml"])
def test_the_lines_to_install_a_recipe_are_shell_and_name_files_that_exist(name: str) -> None:
    """They can be typed as they stand, and put things where the recipe looks for them."""
    lines = install_lines(SCHEDULE / name)
    assert len(lines) >= 4
    assert subprocess.run(["bash", "-n"], input="\n".join(lines), text=True, check=False).returncode == 0
    for path in re.findall(r"samples/[\w./-]+", "\n".join(lines)):
        assert (SAMPLES.parent / path).is_file(), path
    if name != "cronjob.yaml":
        assert "/opt/batch-updater/bin/pip install ." in lines[0], "where the recipe starts the program from"


def test_the_secret_has_the_key_that_is_mounted() -> None:
    """The command that makes it, the key that is taken, and the file that the program is told agree."""
    job = yaml.safe_load((SCHEDULE / "cronjob.yaml").read_text())
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (secret,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    (made,) = [line for line in install_lines(SCHEDULE / "cronjob.yaml") if "create secret" in line]
    assert made.split()[4:] == [secret["secretName"], f"--from-file={secret['items'][0]['key']}=./token"]
    (mount,) = [one for one in container()["volumeMounts"] if one["name"] == "secrets"]
    (named,) = [one["value"] for one in container()["env"] if one["name"] == "EVREKA360_ACCESS_TOKEN_FILE"]
    assert named == f"{mount['mountPath']}/{secret['items'][0]['path']}"


@pytest.mark.parametrize(
    "modules",
    [
        ("airflow.sdk", "airflow.providers.standard.operators.bash"),
        ("airflow", "airflow.operators.bash"),
    ],
    ids=["Airflow 3", "Airflow 2"],
)
def test_the_dag_is_read_by_both_airflows(modules: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The names come from where each version has them."""
    made: list[dict[str, Any]] = []

    def make(**given: Any) -> contextlib.AbstractContextManager[None]:
        made.append(given)
        return contextlib.nullcontext()

    for module, name in zip(modules, ("DAG", "BashOperator"), strict=True):
        parts = module.split(".")
        for length in range(1, len(parts) + 1):
            parent = ".".join(parts[:length])
            if parent not in sys.modules:
                monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
        monkeypatch.setattr(sys.modules[module], name, make, raising=False)
    runpy.run_path(str(SCHEDULE / "airflow_dag.py"))
    assert [given.get("dag_id") or given.get("task_id") for given in made] == ["batch_updater", "update_orders"]


def dockerfile() -> list[list[str]]:
    """The instructions of the Dockerfile as words."""
    lines = (SAMPLES / "Dockerfile").read_text().splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


def test_the_image_has_what_the_package_is_built_from() -> None:
    """Everything that pyproject.toml needs is copied before it is installed, on a Python that it allows."""
    root = SAMPLES.parent
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    copied = {word for words in dockerfile() if words[0] == "COPY" for word in words[1:-1]}
    needed = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    assert copied == needed | set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert all((root / name).exists() for name in copied)
    (base,) = [words[1] for words in dockerfile() if words[0] == "FROM"]
    oldest = project["project"]["requires-python"].removeprefix(">=")
    version = re.fullmatch(r"python:(\d+)\.(\d+)-slim", base)
    assert version
    assert [int(number) for number in version.groups()] >= [int(number) for number in oldest.split(".")]


def test_the_image_runs_as_the_user_of_the_recipe() -> None:
    """Not as root, and by the id to which Kubernetes gives the volumes."""
    job = yaml.safe_load((SCHEDULE / "cronjob.yaml").read_text())
    user = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    assert ["USER", str(user)] in dockerfile()
    assert ["ENTRYPOINT", '["batch-updater"]'] in dockerfile()


def test_the_profile_for_production_asks_twice() -> None:
    """Its sample has the setting that makes a slip of the finger harmless, and every key is a setting."""
    content = tomllib.loads((SAMPLES / "batch-updater.toml").read_text(encoding="utf-8"))
    assert content["profiles"]["production"]["production"] is True
    for part in (content, *content["profiles"].values()):
        assert {key.replace("-", "_") for key in part} - {"profiles"} <= set(Settings.model_fields)
