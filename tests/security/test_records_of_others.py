"""A run in an archive names files, commits and distributions: none of them is believed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from filiera.core.task import LogSpan
from filiera.engine.logs import read_log
from filiera.errors import ProjectError
from filiera.project import plugins
from filiera.project.project import Project
from filiera.project.proving.proof_place import prepare
from filiera.project.runs import get_run
from tests.cli.command import done, filiera, make_project
from tests.cli.conftest import Ask, ask  # noqa: F401  a fixture
from tests.cli.test_prove_command import change_record, git, keep_lock, put_into_git


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a committed project with the run hello-1."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    folder = put_into_git(make_project(tmp_path / "small"))
    done("run", "hello", cwd=folder)
    return folder


@pytest.mark.parametrize("file", ["../../secret", "../../../secret", "../..", "/etc/passwd", "../../logs/../secret"])
def test_a_log_is_a_log(tmp_path: Path, file: str) -> None:
    """The name of a log that is recorded leads to no other file; the log of another run is one."""
    logs = tmp_path / "store" / "logs"
    for run in ("a-1", "b-1"):
        (logs / run).mkdir(parents=True)
        (logs / run / "1.log").write_text(run)
    (tmp_path / "store" / "secret").write_text("secret")
    (tmp_path / "secret").write_text("secret")
    assert read_log(logs / "a-1", LogSpan(file=file, start=0, end=9)) == b""
    assert read_log(logs / "a-1", LogSpan(file="../b-1/1.log", start=0, end=9)) == b"b-1"


@pytest.mark.parametrize("commit", ["--help", "--upload-pack=touch x", "HEAD; touch x", "HEAD", "$(touch x)", "0" * 39])
def test_a_commit_is_a_commit(project: Path, commit: str) -> None:
    """What is recorded as a commit is no option of git, nor part of the advice that people paste into their shell."""
    history = plugins.code_history(project, project / ".filiera")
    with pytest.raises(ProjectError) as refused:
        history.check_out(commit, b"", project.parent / "out")
    assert commit not in str(refused.value)
    assert not (project / "x").exists()


EVIL = {
    "above": ("../../../evil", "100644", "x"),
    "absolute": ("//tmp/evil", "100644", "x"),
    "in git's folder": (".git/hooks/post-checkout", "100755", "x"),
    "through a link": ("out/evil", "100644", "x"),
}


@pytest.mark.parametrize("what", EVIL)
def test_changes_stay_in_their_folder(project: Path, tmp_path: Path, what: str) -> None:
    """A patch writes neither beside the place where a run is repeated, nor what git would run there."""
    name, mode, line = EVIL[what]
    link = f"diff --git a/out b/out\nnew file mode 120000\n--- /dev/null\n+++ b/out\n@@ -0,0 +1 @@\n+{tmp_path}\n"
    patch = f"diff --git a/{name} b/{name}\nnew file mode {mode}\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+{line}\n"
    whole = (f"{link}\\ No newline at end of file\n" if what == "through a link" else "") + patch
    before = sorted(tmp_path.iterdir())
    history = plugins.code_history(project, project / ".filiera")
    with pytest.raises(ProjectError, match="do not fit"):
        history.check_out(git(project, "rev-parse", "HEAD"), whole.encode(), tmp_path / "deep" / "out")
    assert sorted(set(tmp_path.iterdir()) - {tmp_path / "deep"}) == before


@pytest.mark.parametrize(
    "line",
    ["--index-url http://127.0.0.1:9", "-e /tmp/evil", "-r /etc/passwd", "lamp==1.0 --hash=x", "lamp @ x y", "."],
)
def test_a_lock_tells_an_installer_nothing_else(project: Path, tmp_path: Path, line: str) -> None:
    """Lines of a recorded lock name distributions; one that is an option of the installer is not passed on."""
    change_record(project, "hello-1", distributions=keep_lock(project, f"lamp==1.0\n{line}\n"))
    opened = Project.open(project)
    try:
        run = get_run(opened, "hello-1")
        with pytest.raises(ProjectError, match="not one that Filiera wrote"):
            prepare(opened, run, tmp_path, this_environment=False, tell=lambda line: None)
    finally:
        opened.close()
    assert not (tmp_path / "environment").exists()


def test_the_code_of_an_imported_run_is_run_when_told_to(project: Path, tmp_path: Path, ask: Ask) -> None:  # noqa: F811
    """Proving runs the changes of the record: of a stranger's only if the user says so."""
    (project / "flows" / "small.py").write_text((project / "flows" / "small.py").read_text().replace("Hello", "Hi"))
    done("run", "hello", cwd=project)
    file = tmp_path / "runs.zip"
    done("export", "hello-2", "-o", file, cwd=project)
    here = tmp_path / "here"
    subprocess.run(["git", "clone", "--quiet", str(project), str(here)], check=True)
    done("import", str(file), cwd=here)
    (name,) = [run["run"] for run in ask("runs", "--json", cwd=here).data]
    ask("prove", name, cwd=here).said(2, "was imported from runs.zip", "--imported")
    trusted = filiera("prove", name, "--imported", "--json", cwd=here)
    assert (trusted.code, json.loads(trusted.out)["proven"]) == (0, True), trusted.err
