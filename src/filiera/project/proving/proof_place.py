"""A clean place: the code of a recorded run, its environment and an empty store, in a folder that is removed after."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

from filiera.core.distributions import versions_in
from filiera.core.value import dataclass
from filiera.errors import FilieraError, ProjectError
from filiera.ports import Row
from filiera.project import plugins
from filiera.project.project import Project
from filiera.project.proving.divergence import differing_versions
from filiera.project.proving.proof_run import Job
from filiera.project.record import machine

Tell = Callable[[str], None]
_LONGEST_ERROR = 2000
_PINNED = re.compile(r"[A-Za-z0-9][\w.-]*(?:==[\w.+!-]+| @ [\w+.-]+:\S+)", re.ASCII)
"""A line of a lock: a distribution and its version, or where it came from."""
_SOURCE = "source"  # of the whole repository, in the folder of the place


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a run is repeated."""

    folder: Path
    root: Path  #: the project, rebuilt
    job: Job
    command: Sequence[str]  #: starts the process that repeats it
    facts: Mapping[str, Any]  #: of the machine and environment, like those of a run's record
    told: Mapping[str, str] = field(default_factory=dict)  #: what was done about code and environment, for people

    @property
    def store(self) -> Path:
        """Return the place's own store."""
        return Path(self.job.store)


def recorded_lock(project: Project, record: Mapping[str, Any]) -> list[str]:
    """Return the lock that a run recorded, line by line; empty when it recorded none. Raises BlobMissing."""
    digest = record.get("distributions", "")
    return project.blobs.get(digest).decode().splitlines() if digest else []


def prepare(project: Project, run: Row, folder: Path, *, this_environment: bool, tell: Tell) -> Place:
    """Return a clean place for a run, made in an empty *folder*.

    Args:
        project: Whose run it is; only read.
        run: Its record.
        folder: Empty; everything is written there.
        this_environment: Take what is installed here, whatever the run had.
        tell: Told what goes on.

    Raises:
        ProjectError: The run has no commit, it is gone, or the environment cannot be made.
        StoreError: The recorded changes or lock are gone.
    """
    record = json.loads(run["record"])
    root, code = _code(project, run["run_id"], record, folder)
    then = recorded_lock(project, record)
    now = versions_in(sys.path)
    job = Job(
        root=str(root),
        store=str(folder / "store"),
        original_root=str(project.config.root),
        profile=run["profile"],
        run_id=run["run_id"],
        answer=str(folder / "answer.json"),
    )
    differing = differing_versions(_others(then), _others(now))
    if this_environment or not differing:
        words = "as recorded" if not differing else f"this one, where {'; '.join(differing)}"
        command, lock = _in_this_environment(project, root, record, folder), now
    else:
        tell(f"environment: making the recorded one, because here {'; '.join(differing)}")
        command, lock = _in_recorded_environment(project, then, record, folder, tell), then
        words = "made from the recorded lock"
    _lend_environments(project, Path(job.store))
    facts = {**machine(), "hash_seed": record.get("hash_seed", ""), "distributions": lock}
    environment = f"{words}: Python {facts['python']}, {len(lock)} distributions"
    return Place(
        folder=folder,
        root=root,
        job=job,
        command=command,
        facts=facts,
        told={"code": code, "environment": environment},
    )


def run_again(place: Place, *, only: str = "") -> dict[str, Any]:
    """Repeat the run in its place and return what the process answered; with *only*, just that step.

    Raises:
        ProjectError: It could not be started, with what the process said.
    """
    job = asdict(place.job) | {"only": only}
    done = subprocess.run(
        place.command,
        cwd=place.root,
        input=json.dumps(job),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    what = f"Run {place.job.run_id} cannot be repeated in a clean place"
    if done.returncode != 0:
        why = done.stderr.strip()[-_LONGEST_ERROR:] or f"The process ended with {done.returncode}."
        raise ProjectError(f"{what}.", why=why, do="filiera doctor")
    answer: dict[str, Any] = json.loads(Path(place.job.answer).read_text(encoding="utf-8"))
    if error := answer.get("error"):
        do = "Commit all that the pipeline needs: what git ignores is not there."
        raise ProjectError(f"{what}: {error['what']}", why=error["why"], do=do)
    return answer


def _code(project: Project, run_id: str, record: Mapping[str, Any], folder: Path) -> tuple[Path, str]:
    """Write the code of a run into *folder*; return where its project is, and in words what was done."""
    commit, changes = record.get("commit", ""), record.get("changes", "")
    if not commit:
        raise ProjectError(
            f"Run {run_id} has no commit to rebuild its code from.",
            why="Its project was in no git repository, or that had no commit yet.",
            do="git init, git add and git commit in the project; runs from then on can be proven.",
        )
    if record.get("is_dirty") and not changes:
        raise ProjectError(
            f"Run {run_id} had uncommitted changes, which were not recorded.",
            why="git did not answer when it started.",
            do="Run it again.",
        )
    patch = project.blobs.get(changes) if changes else b""
    history = plugins.code_history(project.config.root, project.store)
    root = history.check_out(commit, patch, folder / _SOURCE)
    words = f"commit {commit[:12]}" + (" with its uncommitted changes" if changes else "")
    left_out = record.get("left_out", ())
    return root, words + (f", without {', '.join(left_out)}, which was too large" if left_out else "")


def _in_this_environment(project: Project, root: Path, record: Mapping[str, Any], folder: Path) -> list[str]:
    """Return the command that runs in this environment, but sees the rebuilt code in place of the project's."""
    rebuilt_top = folder / _SOURCE
    inside = project.config.root.parts[: -len(root.relative_to(rebuilt_top).parts) or None]
    top, installed = Path(*inside), {"site-packages", "dist-packages"}
    moved = [
        str(rebuilt_top / place.relative_to(top))
        for place in map(Path, filter(None, sys.path))
        if place.is_relative_to(top) and not installed.intersection(place.parts)
    ]
    before = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    kept = [place for place in before if not Path(place).is_relative_to(top)]
    variables = [f"PYTHONPATH={os.pathsep.join([*moved, *kept])}", *_hash_seed(record)]
    return ["env", "-u", "PYTHONHASHSEED", *variables, *_process(Path(sys.executable))]


def _in_recorded_environment(
    project: Project, lock: Sequence[str], record: Mapping[str, Any], folder: Path, tell: Tell
) -> list[str]:
    """Return the command that runs in an environment made from the recorded lock."""
    from filiera.adapters import virtual_environments
    from filiera.project.environments import Environments

    if record["python"] != machine()["python"]:
        raise ProjectError(
            f"The run had Python {record['python']}; this is Python {machine()['python']}.",
            why="An environment is made for the Python that makes it.",
            do=f"Prove it with Filiera under Python {record['python']}, or as it is here: --this-environment",
        )
    requirements = folder / "lock" / "requirements.txt"
    requirements.parent.mkdir()
    lines = [line for line in _others(lock) if not line.startswith("#")]
    if not all(map(_PINNED.fullmatch, lines)):  # an option would tell the installer to look, or write, elsewhere
        raise ProjectError("The recorded lock is not one that Filiera wrote.", do="Prove it with --this-environment.")
    requirements.write_text("".join(f"{line}\n" for line in lines))
    made = folder / "environment"
    try:
        virtual_environments.make(made, requirements, tell=tell, is_complete=True)
    except FilieraError as error:
        do = "Prove it with what is installed here instead: --this-environment"
        raise ProjectError("The recorded environment cannot be made again.", why=error.why, do=do) from error
    python = virtual_environments.python_of(made)
    variables = Environments(folder / "store", project.config.root).variables(python)
    return ["env", "-u", "PYTHONHASHSEED", *variables, *_hash_seed(record), *_process(python)]


def _process(python: Path) -> list[str]:
    return [str(python), "-P", "-m", "filiera.project.proving.proof_run"]


def _hash_seed(record: Mapping[str, Any]) -> list[str]:
    seed = record.get("hash_seed", "")
    return [f"PYTHONHASHSEED={seed}"] if seed else []


def _others(lock: Sequence[str]) -> list[str]:
    """Return a lock without Filiera itself: the one that runs proves."""
    return [line for line in lock if not line.removeprefix("# ").startswith(("filiera==", "filiera @"))]


def _lend_environments(project: Project, store: Path) -> None:
    """Let the place use the finished environments of steps that the project's store has: they are named by content."""
    have = project.store / "environments"
    if not have.is_dir():
        return
    folder = store / "environments"
    folder.mkdir(parents=True)
    for environment in have.iterdir():
        if (environment / "finished.json").is_file():
            (folder / environment.name).symlink_to(environment)
