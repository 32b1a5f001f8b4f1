from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from filiera.project import record
from filiera.project.project import Project
from tests.projects import SmallProject

FILES = {
    ".gitignore": ".filiera/\n__pycache__/\n",
    "flows/__init__.py": "",
    "flows/steps.py": """
        from filiera import pipeline, step


        @step
        def draw(seed: int, random_state: int | None) -> int:
            return seed


        @pipeline(kind="data")
        def drawing(seed: int = 3):
            return draw(seed, None)
    """,
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallProject:
    """Return a committed project, out of reach of this machine's git settings, whose runs all ask git."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setattr(record, "ASKED_AGAIN_AFTER_S", 0.0)
    small = SmallProject(tmp_path / "project", FILES)
    git(small, "init", "--quiet")
    git(small, "add", "--all")
    git(small, "commit", "--quiet", "-m", "Begin")
    return small


def git(project: SmallProject, *words: str) -> str:
    """Return what git prints."""
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    done = subprocess.run(["git", *who, *words], cwd=project.root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def recorded(project: SmallProject, **values: Any) -> dict[str, Any]:
    """Run the pipeline and return what the run recorded."""
    run = project.run("drawing", **values)
    found: dict[str, Any] = json.loads(project.read("get_run", run_id=run.run_id)[0]["record"])
    return found


def blob(project: SmallProject, digest: str) -> bytes:
    """Return a blob of the project's store."""
    with project.opened() as opened:
        return opened.blobs.get(digest)


def test_a_run_records_what_it_is_made_from(project: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit, Python, machine, seeds and the lock of what is installed; nothing differs from the commit."""
    monkeypatch.setenv("PYTHONHASHSEED", "5")
    found = recorded(project, seed=11)
    assert (found["commit"], found["is_dirty"]) == (git(project, "rev-parse", "HEAD"), False)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (found["processors"], found["filiera"]) == (os.cpu_count(), sys.modules["filiera"].__version__)
    assert (found["hash_seed"], found["changes"], found["environments"]) == ("5", "", {})
    assert found["seeds"] == {"draw.seed": 11, "draw.random_state": None}
    lock = blob(project, found["distributions"]).decode().splitlines()
    assert any(line.startswith("blake3==") for line in lock)
    assert record.blobs_named(found) == [found["distributions"]]


def test_what_differs_from_the_commit_is_kept(project: SmallProject) -> None:
    """Edited and new files are in one patch, kept once however often the pipeline runs."""
    project.write({"flows/new.py": "x = 1\n"})
    project.replace("flows/steps.py", "seed: int = 3", "seed: int = 4")
    found = recorded(project)
    patch = blob(project, found["changes"]).decode()
    assert found["is_dirty"]
    assert ("+def drawing(seed: int = 4):" in patch, "+x = 1" in patch) == (True, True)
    assert recorded(project)["changes"] == found["changes"]
    assert record.blobs_named(found) == [found["changes"], found["distributions"]]


def test_outside_a_repository_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project need not be in git to run."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    found = recorded(SmallProject(tmp_path / "project", FILES))
    assert (found["commit"], found["is_dirty"], found["changes"]) == ("", None, "")


def test_the_environments_of_steps_are_named(project: SmallProject) -> None:
    """A run says which environments its steps had, by what their files asked for."""
    project.write({"requirements.txt": "--no-index\n"})
    project.replace("flows/steps.py", "@step\n", '@step(env="requirements.txt")\n')
    with project.opened() as opened:
        pipeline = opened.pipeline("drawing")
        found = record.made_from(opened, opened.assemble(pipeline, {}), frozenset())
        assert found["environments"] == {"requirements.txt": opened.environments.digest_of("requirements.txt")}


def test_runs_of_one_moment_share_an_answer(project: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git is asked once for many runs that start together, and again a moment later."""
    with project.opened() as opened:
        monkeypatch.setattr(record, "ASKED_AGAIN_AFTER_S", 3600.0)
        before = dirty(opened)
        project.write({"flows/new.py": "x = 1\n"})
        assert (before, dirty(opened)) == (False, False)
        monkeypatch.setattr(record, "ASKED_AGAIN_AFTER_S", 0.0)
        assert dirty(opened)


def test_git_can_be_asked_ahead(project: SmallProject) -> None:
    """What was asked for before planning is the state of then; it is used once."""
    with project.opened() as opened:
        record.begin(opened)
        record.begin(opened)
        assert not dirty(opened)
        project.write({"flows/new.py": "x = 1\n"})
        assert dirty(opened)


def dirty(project: Project) -> bool:
    """Return whether a run that started now would record that files differ from the commit."""
    assembled = project.assemble(project.pipeline("drawing"), {})
    return bool(record.made_from(project, assembled, frozenset())["is_dirty"])
