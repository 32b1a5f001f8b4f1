"""Who is measured: Filiera and its peers, each in a virtual environment of its own under ``.venvs``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from memory import Peaks, watch

SUBJECTS = Path(__file__).parent / "subjects"
VENVS = Path(__file__).parents[1] / ".venvs"
LIMIT_S = 900
_PROJECT = """\
[project]
name = "benchmark"
flows = ["pipelines", "table_pipelines", "model_pipelines"]

[profile.local]
workers = 2

[profile.inline]
executor = "inline"
"""
_NO_REPORTS = {"DO_NOT_TRACK": "1", "KEDRO_DISABLE_TELEMETRY": "1", "ZENML_ANALYTICS_OPT_IN": "false"}


class CommandFailed(Exception):
    """A command of a subject did not do what it should; the last line it printed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Something that does the work."""

    name: str
    environment: str = ""  #: virtual environment under .venvs; "" is the one this script runs in
    packages: tuple[str, ...] = ()  #: what is installed there
    commands: Mapping[str, tuple[str, ...]]  #: by scenario; a size and a start are filled in
    variables: Mapping[str, str] = field(default_factory=dict)
    rounds: int = 99  #: no more than so many: a slow peer would take the whole time

    def prepare(self) -> str:
        """Make the environment if need be; return the version of what is measured. Raises CommandFailed."""
        self._install()
        if self.name in ("multiprocessing", "sqlite3"):  # of the standard library
            return ".".join(map(str, sys.version_info[:3]))
        shown = (self.packages or ("filiera",))[0].partition("[")[0]
        code = f"from importlib.metadata import version; print(version({shown!r}))"
        return self.run(("python", "-c", code), SUBJECTS)[-1]

    def make_folder(self, work: Path) -> Path:
        """Return a new folder with the subject's programs and an empty project."""
        folder = work / self.name
        shutil.copytree(SUBJECTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "filiera.toml").write_text(_PROJECT, encoding="utf-8")
        return folder

    def run(self, command: tuple[str, ...], folder: Path, more: Mapping[str, str] | None = None) -> list[str]:
        """Return the lines that a command of the environment prints. Raises CommandFailed."""
        process = self._start(command, folder, more or {})
        try:
            printed, complaints = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise CommandFailed(f"no end after {LIMIT_S} s") from error
        if process.returncode:
            raise CommandFailed(_last_line(complaints or printed))
        return printed.splitlines()

    def watch(self, command: tuple[str, ...], folder: Path) -> Peaks:
        """Return how much memory the processes of a command took. Raises CommandFailed."""
        process = self._start(command, folder, {})
        peaks = watch(process)
        printed, complaints = process.communicate()
        if process.returncode:
            raise CommandFailed(_last_line(complaints or printed))
        return peaks

    def program(self, name: str) -> str:
        """Return the path of a program of the environment."""
        return str((VENVS / self.environment / "bin" if self.environment else Path(sys.executable).parent) / name)

    def surroundings(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that its programs are given."""
        ours = ("FILIERA_", "ZENML_", "PYTHONDONTWRITEBYTECODE", *(("PYTHONPATH",) if self.environment else ()))
        variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return variables | {**_NO_REPORTS, **self.variables, **more}

    def _start(self, command: tuple[str, ...], folder: Path, more: Mapping[str, str]) -> subprocess.Popen[str]:
        variables = self.surroundings(more)
        if "ZENML_CONFIG_PATH" in variables:
            variables["ZENML_CONFIG_PATH"] = str(folder / variables["ZENML_CONFIG_PATH"])
        return subprocess.Popen(
            [self.program(command[0]), *command[1:]],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _install(self) -> None:
        """Install what is missing, also into an environment that an earlier version of this script has made."""
        if not self.environment:
            return
        wanted = "\n".join(self.packages)
        done_before = VENVS / self.environment / "installed.txt"
        if done_before.exists() and done_before.read_text(encoding="utf-8") == wanted:
            return
        print(f"installing {', '.join(self.packages)} into {VENVS.name}/{self.environment}", flush=True)
        folder = VENVS / self.environment
        for command in (
            [sys.executable, "-m", "venv", folder],
            [folder / "bin" / "python", "-m", "pip", "--quiet", "install", *self.packages],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CommandFailed(_last_line(done.stderr))
        done_before.write_text(wanted, encoding="utf-8")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it printed nothing"])[-1]


def _filiera(scenario: str) -> tuple[str, ...]:
    return ("python", "with_filiera.py", scenario, "{size}", "{start}")


_OURS = {
    "one": ("filiera", "run", "one"),
    "chain, cold": _filiera("chain"),
    "chain, unchanged": _filiera("chain"),
    "fan-out": _filiera("fan-out"),
    "table": _filiera("table"),
    "fits": _filiera("fits"),
}
_JOBLIB = ("python", "with_joblib.py")
_KEDRO = ("python", "with_kedro.py")
_ZENML = ("python", "with_zenml.py")
_SIZES = ("{size}", "{start}")

ALL = (
    Subject(
        name="Filiera",
        commands={
            **_OURS,
            "--help": ("filiera", "--help"),
            "runs": _filiera("runs"),
            "many": _filiera("many"),
            "growth": _filiera("growth"),
        },
        variables={"FILIERA_PROFILE": "local"},
    ),
    Subject(
        name="Filiera inline",
        commands={name: command for name, command in _OURS.items() if name not in ("fits", "fan-out")},
        variables={"FILIERA_PROFILE": "inline"},
    ),
    Subject(
        name="joblib",
        environment="joblib",
        packages=("joblib", "polars"),
        commands={
            "one": (*_JOBLIB, "one", "0", "0"),
            "chain, cold": (*_JOBLIB, "chain", *_SIZES),
            "chain, unchanged": (*_JOBLIB, "chain", *_SIZES),
            "fan-out": (*_JOBLIB, "fan-out", *_SIZES),
            "table": (*_JOBLIB, "table", *_SIZES),
        },
    ),
    Subject(
        name="multiprocessing",
        commands={"fits": ("python", "with_pool.py", "fits", *_SIZES)},
    ),
    Subject(
        name="Kedro in memory",
        environment="kedro",
        packages=("kedro", "kedro-datasets"),
        commands={
            "--help": ("kedro", "--help"),
            "one": (*_KEDRO, "one", "0", "0"),
            "chain, cold": (*_KEDRO, "memory", *_SIZES),
            "chain, unchanged": (*_KEDRO, "memory", *_SIZES),
            "fan-out": (*_KEDRO, "fan-out", *_SIZES),
        },
        rounds=3,
    ),
    Subject(
        name="Kedro session",
        environment="kedro",
        packages=("kedro", "kedro-datasets"),
        commands={
            "chain, cold": (*_KEDRO, "session", *_SIZES),
            "chain, unchanged": (*_KEDRO, "session", *_SIZES),
        },
        rounds=3,
    ),
    Subject(
        name="Kedro on disk",
        environment="kedro",
        packages=("kedro", "kedro-datasets"),
        commands={
            "chain, cold": (*_KEDRO, "files", *_SIZES),
            "chain, unchanged": (*_KEDRO, "files", *_SIZES),
        },
        rounds=3,
    ),
    Subject(
        name="ZenML",
        environment="zenml",
        packages=("zenml[local]",),
        commands={
            "--help": ("zenml", "--help"),
            "one": (*_ZENML, "one", "1", "0"),
            "chain, cold": (*_ZENML, "chain", *_SIZES),
            "chain, unchanged": (*_ZENML, "chain", *_SIZES),
        },
        variables={"ZENML_LOGGING_VERBOSITY": "ERROR", "ZENML_CONFIG_PATH": "zenml-configuration"},
        rounds=2,
    ),
)
