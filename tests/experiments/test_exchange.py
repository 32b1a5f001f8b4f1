"""Experiments between people: two clones, two stores, a git remote and a shared folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from filiera.adapters.shared_place import SharedFolder
from filiera.errors import ArchiveError, ProjectError, Rejected, UsageError
from filiera.experiments.dropping import drop
from filiera.experiments.exchanging import pull, push
from filiera.experiments.records import runs_in
from filiera.experiments.running import Wanted, run
from filiera.experiments.starting import start
from tests.experiments.lab import Lab


def quiet(text: str) -> None:
    """Take no notice."""


@pytest.fixture
def shared(tmp_path: Path) -> SharedFolder:
    return SharedFolder(tmp_path / "shared")


@pytest.fixture
def other(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a clone with a store of its own, beside the lab; both have the same remote."""
    lab.git("init", "--quiet", "--bare", "--initial-branch", "main", str(tmp_path / "remote.git"))
    lab.git("remote", "add", "origin", str(tmp_path / "remote.git"))
    lab.git("push", "--quiet", "origin", "main")
    lab.git("clone", "--quiet", str(tmp_path / "remote.git"), str(tmp_path / "clone"))
    found = Lab.__new__(Lab)
    found.root = found.repository = tmp_path / "clone"
    return found


def versions(lab: Lab) -> set[str]:
    with lab.opened() as project:
        return {version.ref for version in project.versions.find()}


def test_an_experiment_goes_on_elsewhere(lab: Lab, other: Lab, shared: SharedFolder) -> None:
    """Branch, runs, versions and the dataset arrive; there nothing is computed anew, and what follows comes back."""
    start(lab.place(), "deeper")
    first = lab.try_out("deeper", depth="3").record
    pushed = push(lab.place(), ["deeper"], remote="origin", to=shared, tell=quiet)
    assert (pushed.sent, pushed.there, pushed.targets) == (2, 0, {"deeper": "main"})
    again = push(lab.place(), ["deeper"], remote="origin", to=shared, tell=quiet)
    assert (again.sent, again.there) == (0, 2)

    pulled = pull(other.place(), [], remote="origin", source=shared, tell=quiet)
    assert pulled.states == {"deeper": "new"} and len(pulled.runs) == 2 and not pulled.lost
    assert versions(other) == {"points@1", "judge~deeper@1"}
    assert runs_in(other.place().records("deeper")["deeper"]) == [first]
    with other.opened():
        done = run(other.place(), "deeper", Wanted(pipeline="train", settings=[{"depth": "3"}, {"depth": "4"}]))
    assert done[0].run.state.count("hit") == len(done[0].run.state.steps)
    assert done[0].run.version is not None and first is not None
    assert done[0].run.version.artifact.digest == first.artifact
    assert not pull(other.place(), [], remote="origin", source=shared, tell=quiet).runs

    assert push(other.place(), ["deeper"], remote="origin", to=shared, tell=quiet).sent == 2
    back = pull(lab.place(), ["deeper"], remote="origin", source=shared, tell=quiet)
    assert back.states == {"deeper": "newer"} and len(back.runs) == 2
    assert len(runs_in(lab.place().records("deeper")["deeper"])) == 3
    assert lab.git("status", "--porcelain", cwd=lab.folder_of("deeper")) == ""


def test_another_dataset_of_that_number_is_not_mistaken_for_it(lab: Lab, other: Lab, shared: SharedFolder) -> None:
    """The experiment is fetched, its dataset is not published over theirs, and a run of it says what is missing."""
    other.replace("flows/data.py", 'pl.col("a") * 2', 'pl.col("a") * 3')
    assert other.run("points").version.ref == "points@1"  # type: ignore[union-attr]
    start(lab.place(), "deeper")
    push(lab.place(), ["deeper"], remote="origin", to=shared, tell=quiet)
    pulled = pull(other.place(), [], remote="origin", source=shared, tell=quiet)
    assert pulled.other_data == ("points",) and versions(other) == {"points@1"}
    with pytest.raises(UsageError, match="no dataset points@0"):
        other.try_out("deeper")
    other.replace("flows/data.py", 'pl.col("a") * 3', 'pl.col("a") * 2')
    assert other.run("points").version.ref == "points@2"  # type: ignore[union-attr]
    other.git("worktree", "remove", "--force", "--force", str(other.folder_of("deeper")))
    record = other.try_out("deeper").record
    assert record is not None and record.inputs == {"points": "points@2"}


def test_two_have_gone_on(lab: Lab, other: Lab) -> None:
    """Nothing is overwritten: neither by pushing nor by pulling; the message says how to bring both together."""
    start(lab.place(), "deeper")
    push(lab.place(), ["deeper"], remote="origin", to=None, tell=quiet)
    pull(other.place(), [], remote="origin", source=None, tell=quiet)
    lab.try_out("deeper")
    assert pull(lab.place(), [], remote="origin", source=None, tell=quiet).states == {"deeper": "newer here"}
    push(lab.place(), ["deeper"], remote="origin", to=None, tell=quiet)
    place = other.place()
    with place.lease("deeper"):
        folder = place.ensure_worktree("deeper")
    (folder / "idea.md").write_text("an idea\n")
    tip = other.commit("an idea", cwd=folder)
    with pytest.raises(ProjectError, match="git push to origin failed"):
        push(other.place(), ["deeper"], remote="origin", to=None, tell=quiet)
    with pytest.raises(Rejected, match="moved on here and at origin") as caught:
        pull(other.place(), [], remote="origin", source=None, tell=quiet)
    assert other.place().tip("deeper") == tip
    other.git(*caught.value.do.split()[3:], "--quiet", "--no-edit", cwd=folder)
    assert pull(other.place(), [], remote="origin", source=None, tell=quiet).states == {"deeper": "newer here"}
    assert push(other.place(), ["deeper"], remote="origin", to=None, tell=quiet).names == ("deeper",)


def test_what_is_dropped_here_stays_dropped(lab: Lab, other: Lab) -> None:
    """Until it is asked for."""
    start(lab.place(), "deeper")
    push(lab.place(), ["deeper"], remote="origin", to=None, tell=quiet)
    drop(lab.place(), "deeper")
    assert pull(lab.place(), [], remote="origin", source=None, tell=quiet).states == {"deeper": "dropped here"}
    assert not lab.place().branches()
    with pytest.raises(UsageError, match="was dropped here"):
        pull(lab.place(), ["deeper"], remote="origin", source=None, tell=quiet)
    with pytest.raises(UsageError, match="origin has no experiment 'depper'"):
        pull(other.place(), ["depper"], remote="origin", source=None, tell=quiet)


def test_a_damaged_archive_changes_nothing(lab: Lab, other: Lab, shared: SharedFolder, tmp_path: Path) -> None:
    """Each byte is verified; what was whole before it has arrived, and a second try takes the rest."""
    start(lab.place(), "deeper")
    lab.try_out("deeper")
    push(lab.place(), ["deeper"], remote="origin", to=shared, tell=quiet)
    (file,) = [file for file in (tmp_path / "shared").iterdir() if len(file.stem) == 26]
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(ArchiveError):
        pull(other.place(), [], remote="origin", source=shared, tell=quiet)
    assert versions(other) == {"points@1"}
    file.write_bytes(whole)
    assert len(pull(other.place(), [], remote="origin", source=shared, tell=quiet).runs) == 1
    assert "judge~deeper@1" in versions(other)
    file.unlink()
    assert push(other.place(), ["deeper"], remote="origin", to=shared, tell=quiet).sent == 1


def test_by_the_command(lab: Lab, other: Lab, tmp_path: Path) -> None:
    """What is said, and how a protected target is merged into."""
    start(lab.place(), "deeper")
    done = lab.command("experiment", "push", "--to", str(tmp_path / "shared"))
    assert done.returncode == 0, done.stderr
    assert "pushed exp/deeper to origin" in done.stdout and "1 runs sent" in done.stdout
    assert "where main is protected, open a merge request from exp/deeper into main" in done.stdout
    told = json.loads(other.command("experiment", "pull", "--from", str(tmp_path / "shared"), "--json").stdout)
    assert told["states"] == {"deeper": "new"} and len(told["runs"]) == 1
    wrong = other.command("experiment", "pull", "--remote", "nowhere")
    assert wrong.returncode != 0 and "Traceback" not in wrong.stderr and "nowhere" in wrong.stderr
