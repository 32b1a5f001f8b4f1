from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from filiera.errors import ProjectError
from filiera.project.environments import Environments
from tests.projects import SmallProject, statuses
from tests.wheels import make_wheel


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with two files that ask for two versions of one distribution."""
    wheels = tmp_path / "wheels"
    for version in ("1.0", "2.0"):
        make_wheel(wheels, "lamp", version)
    root = tmp_path / "project"
    root.mkdir()
    for name, version in (("old", "1.0"), ("new", "2.0")):
        (root / f"{name}.txt").write_text(f"--no-index\n--find-links {wheels}\nlamp=={version}\n")
    return root


@pytest.fixture
def environments(project: Path) -> Environments:
    return Environments(project / ".filiera", project)


def python(command: list[str], code: str) -> subprocess.CompletedProcess[str]:
    """Run code as the worker of a command would be run."""
    end = command.index("-m")
    return subprocess.run([*command[:end], "-c", code], capture_output=True, text=True, check=False)


def test_the_digest_follows_the_wishes(environments: Environments, project: Path) -> None:
    """Another pin is another environment; a comment, and writing the same again, are not."""
    file = project / "old.txt"
    old, new = environments.digest_of("old.txt"), environments.digest_of("new.txt")
    assert old != new
    file.write_text(file.read_text() + "# a comment\n")
    assert environments.digest_of("old.txt") == old
    file.write_text(file.read_text().replace("1.0", "2.0"))
    assert environments.digest_of("old.txt") == new
    assert Environments(project / "elsewhere", project).digest_of("new.txt") == new


def test_the_digest_follows_included_files(environments: Environments, project: Path) -> None:
    """A change in a file that is included shows, though the file itself stays."""
    (project / "all.txt").write_text("-r old.txt\n")
    before = environments.digest_of("all.txt")
    (project / "old.txt").write_text("shade\n")
    assert environments.digest_of("all.txt") != before


def test_another_machine_or_python_is_another_environment(
    environments: Environments, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Builds differ between kinds of machines and versions of Python."""
    digests = {environments.digest_of("old.txt")}
    monkeypatch.setattr("filiera.project.environments._machine", lambda: (b"cpython 3.12.1", b"linux x86_64 glibc"))
    digests.add(Environments(project / ".filiera", project).digest_of("old.txt"))
    monkeypatch.setattr("filiera.project.environments._machine", lambda: (b"cpython 3.12.1", b"linux x86_64 "))
    digests.add(Environments(project / ".filiera", project).digest_of("old.txt"))
    assert len(digests) == 3


def test_a_worker_sees_its_environment_the_project_and_filiera(
    environments: Environments, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two environments with one distribution in two versions; what the driver has besides is in neither."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    (project / "src").mkdir()
    monkeypatch.syspath_prepend(str(project / "src"))
    commands = {name: list(environments.command_for(environments.digest_of(f"{name}.txt"))) for name in ("old", "new")}
    versions = {name: python(command, "import lamp; print(lamp.VERSION)").stdout for name, command in commands.items()}
    assert versions == {"old": "1.0\n", "new": "2.0\n"}
    assert environments.installed("old.txt") == ["lamp==1.0"]
    command = commands["new"]
    assert "No module named 'pytest'" in python(command, "import pytest").stderr
    places = python(command, "import os; print(os.environ['FILIERA_PATH'])").stdout.strip()
    assert places.split(os.pathsep) == [str(project), str(project / "src")]
    same = python(command, "import filiera, os; print(os.path.realpath(filiera.__file__))").stdout.strip()
    assert same == os.path.realpath(sys.modules["filiera"].__file__ or "")
    assert python(command, "import filiera.project.worker, filiera.project.plugins").stderr == ""


def test_processes_that_a_step_starts_see_the_same(environments: Environments) -> None:
    """Children of the worker, and the scripts of its environment, are in it too."""
    command = list(environments.command_for(environments.digest_of("old.txt")))
    code = "import lamp, filiera; print(lamp.VERSION)"
    child = f"import subprocess; print(subprocess.check_output(['python', '-c', {code!r}], text=True))"
    assert python(command, child).stdout.strip() == "1.0"


def test_a_blake3_of_its_own_goes_first(environments: Environments, project: Path, tmp_path: Path) -> None:
    """Filiera needs blake3, but a version that the file pins is not hidden."""
    make_wheel(tmp_path / "wheels", "blake3", "99.0")
    (project / "own.txt").write_text(f"--no-index\n--find-links {tmp_path / 'wheels'}\nblake3==99.0\n")
    command = list(environments.command_for(environments.digest_of("own.txt")))
    assert python(command, "import blake3; print(blake3.VERSION)").stdout.strip() == "99.0"


def test_a_file_changed_meanwhile_is_refused(environments: Environments, project: Path) -> None:
    """A step runs in the environment that it was planned with, or not at all."""
    env = environments.digest_of("old.txt")
    (project / "old.txt").write_text("shade\n")
    with pytest.raises(ProjectError, match=r"old.txt was changed while the run was going") as caught:
        environments.command_for(env)
    assert "filiera resume" in caught.value.do
    with pytest.raises(ProjectError, match="was changed"):
        environments.command_for("0" * 64)


def test_it_is_made_when_first_needed(environments: Environments) -> None:
    """Asking for the digest makes nothing; then it is made once, and the teller hears of it."""
    told: list[str] = []
    environments.digest_of("old.txt")
    assert (environments.is_ready("old.txt"), environments.installed("old.txt")) == (False, [])
    made = environments.ready("old.txt", tell=told.append)
    assert any(line == "old.txt: making its environment" for line in told)
    told.clear()
    assert environments.ready("old.txt", tell=told.append) == made
    assert (told, environments.is_ready("old.txt")) == ([], True)


LAMPS = """
    from filiera import pipeline, step


    @step(env="old.txt")
    def old() -> str:
        import lamp

        return lamp.VERSION


    @step(env="new.txt")
    def new(before: str) -> str:
        import lamp

        return f"{before} {lamp.VERSION}"


    @step
    def here(before: str) -> str:
        try:
            import lamp
        except ImportError:
            return f"{before} none"
        return lamp.VERSION


    @pipeline(kind="data")
    def lamps():
        return here(new(old()))
"""


def test_two_versions_in_one_pipeline(project: Path) -> None:
    """Steps whose pins exclude each other run in one pipeline, beside one that has neither; then all are hits."""
    small = SmallProject(project, {"flows/__init__.py": "", "flows/lamps.py": LAMPS}, executor="processes")
    run = small.run("lamps")
    assert (run.status, run.value("here")) == ("succeeded", "1.0 2.0 none")
    assert set(statuses(small.run("lamps")).values()) == {"hit"}
    (project / "new.txt").write_text((project / "new.txt").read_text().replace("2.0", "1.0"))
    assert statuses(small.run("lamps")) == {"old": "hit", "new": "succeeded", "here": "succeeded"}
    assert small.reasons("lamps-3")["new"] == "environment new.txt changed"


def test_an_environment_that_cannot_be_made_is_the_step_s_failure(project: Path) -> None:
    """The run goes on when the file is corrected."""
    text = (project / "new.txt").read_text()
    (project / "new.txt").write_text(text.replace("2.0", "3.0"))
    small = SmallProject(project, {"flows/__init__.py": "", "flows/lamps.py": LAMPS}, executor="processes")
    run = small.run("lamps")
    assert statuses(run) == {"old": "succeeded", "new": "failed", "here": "blocked"}
    failure = run.state.steps["new"].failure
    assert failure is not None
    assert ("lamp==3.0" in failure.message, "The environment of new.txt could not be made" in failure.message) == (
        True,
        True,
    )
    (project / "new.txt").write_text(text)
    assert small.resume("lamps-1").status == "succeeded"
