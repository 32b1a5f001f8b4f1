"""Changes that came along and were never committed where they came from: accepting takes them up, and loses none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from filiera.adapters.git_repository import Repository
from filiera.errors import StoreFull, UsageError
from filiera.experiments import journal
from filiera.experiments.accepting import Acceptance, Accepted, accept
from filiera.experiments.mending import examine
from filiera.experiments.starting import start
from tests.experiments.lab import LightLab, state_of

CHANGED = ("flows/data.py", "größe.md", "idea.md", "notes.md", "old.md", "two\nlines.md")


@pytest.fixture
def carrying(light: LightLab) -> LightLab:
    """Return a lab with an experiment that has run, with changes that are still uncommitted on main."""
    for name in ("old.md", "two\nlines.md"):
        (light.root / name).write_text("old\n")
    light.commit("old")
    (light.root / "old.md").unlink()
    for name in ("notes.md", "idea.md", "größe.md", "two\nlines.md"):
        (light.root / name).write_text(f"{name} as it came along\n")
    light.replace("flows/data.py", "WIDTH = 3", "WIDTH = 4")
    light.git("add", "idea.md", "flows/data.py")
    folder = start(light.place(), "odd").worktree
    (folder / "idea.md").write_text("a better idea\n")
    assert light.try_out("odd", "count").record is not None
    return light


def accepted(lab: LightLab, **options: bool) -> Accepted:
    """Accept the experiment in this process."""
    with lab.opened():
        return accept(lab.place(), "odd", Acceptance(**options))


@pytest.mark.parametrize("squash", [False, True])
def test_what_came_along_is_no_obstacle(squash: bool, carrying: LightLab) -> None:
    """Files that the experiment has as they are stay, those that it went on with are brought up to date."""
    done = accepted(carrying, squash=squash)
    assert state_of(carrying) == (done.commit, "", "")
    assert (carrying.root / "notes.md").read_text() == "notes.md as it came along\n"
    assert (carrying.root / "idea.md").read_text() == "a better idea\n"
    assert not (carrying.root / "old.md").exists()
    assert done.finished is not None
    assert set(done.finished.carried) == {*CHANGED}


@pytest.mark.parametrize(
    "change",
    [
        lambda lab: (lab.root / "notes.md").write_text("an idea that nobody else has\n"),
        lambda lab: lab.replace("flows/data.py", "WIDTH = 4", "WIDTH = 5"),
        lambda lab: (
            (lab.root / "idea.md").write_text("staged\n"),
            lab.git("add", "idea.md"),
            (lab.root / "idea.md").write_text("idea.md as it came along\n"),
        ),
    ],
    ids=["a new file", "a changed file", "what is staged"],
)
def test_what_was_written_since_stays(change: Callable[[LightLab], object], carrying: LightLab) -> None:
    """One such file, and nothing is changed."""
    change(carrying)
    before = state_of(carrying)
    with pytest.raises(UsageError, match="nothing was changed"):
        accepted(carrying)
    assert state_of(carrying) == before and journal.read(carrying.place()) is None
    assert "odd" in carrying.place().branches()


def test_what_the_merge_does_not_touch_stays(carrying: LightLab) -> None:
    """Changes of other files, made before or since."""
    (carrying.root / "other.md").write_text("other\n")
    (carrying.root / ".gitignore").write_text(".filiera/\n__pycache__/\nmore/\n")
    accepted(carrying)
    assert state_of(carrying)[2] == "M .gitignore\n?? other.md"


def test_a_file_that_the_experiment_removed(carrying: LightLab) -> None:
    """Where it was changed, the user decides what becomes of it."""
    (carrying.folder_of("odd") / "two\nlines.md").unlink()
    assert carrying.try_out("odd", "count").record is not None
    before = state_of(carrying)
    with pytest.raises(UsageError, match="nothing was changed"):
        accepted(carrying)
    assert state_of(carrying) == before


@pytest.mark.parametrize("number", [1, 2])
def test_git_stops_in_between(number: int, carrying: LightLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is killed after the files were staged, or before they are brought up to date: the doctor ends it."""
    before = {file.name: file.read_bytes() for file in carrying.root.glob("*.md")}
    original, merges = Repository.git, []

    def failing(self: Repository, *words: str, **options: object) -> str:
        merges.extend(words[:1] if words[0] == "merge" else [])
        if len(merges) == 2 and words[0] == ("merge", "restore")[number - 1]:
            raise StoreFull("The disk is full.")
        return original(self, *words, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Repository, "git", failing)
        with pytest.raises(StoreFull):
            accepted(carrying)
    assert {file.name: file.read_bytes() for file in carrying.root.glob("*.md")} == before
    list(examine(carrying.place(), repair=True))
    if number == 1:
        assert {file.name: file.read_bytes() for file in carrying.root.glob("*.md")} == before
        accepted(carrying)
    assert state_of(carrying)[1:] == ("", "")
    assert (carrying.root / "idea.md").read_text() == "a better idea\n"


def test_by_the_command(carrying: LightLab) -> None:
    """It says which files are no longer uncommitted."""
    done = carrying.command("experiment", "accept", "odd")
    assert done.returncode == 0, done.stderr
    assert (
        "committed with it, as changed in main before: flows/data.py, größe.md, idea.md, notes.md, old.md"
        in done.stdout
    )
