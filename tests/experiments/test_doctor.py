"""What killed processes and users' hands leave, and that it is mended without losing anything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from filiera.adapters.git_repository import SCRATCH
from filiera.errors import ProjectError
from filiera.experiments import journal
from filiera.experiments.accepting import merge_folder
from filiera.experiments.dropping import restore
from filiera.experiments.mending import examine
from filiera.experiments.moving import Move
from filiera.experiments.place import MAKING
from filiera.experiments.starting import start
from filiera.experiments.syncing import sync
from filiera.project.checkout import MARKER, git_folder
from tests.experiments.lab import Lab, state_of
from tests.projects import command


def mended(lab: Lab) -> list[str]:
    """Return what was repaired, after asserting that a look finds the same, and a second repair nothing."""
    found = [each.detail.partition(":")[0] for each in examine(lab.place(), repair=False) if each.state == "problem"]
    repaired = list(examine(lab.place(), repair=True))
    assert [each.detail.partition(":")[0] for each in repaired if each.state == "repaired"] == found
    assert [each.state for each in examine(lab.place(), repair=True)] == ["ok"]
    return found


def test_nothing_to_mend(lab: Lab) -> None:
    """All is well: one line says how much there is."""
    start(lab.place(), "deeper")
    (only,) = examine(lab.place(), repair=True)
    assert (only.state, only.detail) == ("ok", "1 with all that belongs to them, 0 in the archive")


def test_a_folder_that_is_gone(lab: Lab) -> None:
    """It is forgotten, and restoring makes it anew; folders of the user's own are not ours to forget."""
    folder = start(lab.place(), "deeper").worktree
    mine = lab.root.parent / "mine"
    lab.git("worktree", "add", "--quiet", str(mine), "-b", "mine")
    shutil.rmtree(folder)
    shutil.rmtree(mine)
    assert mended(lab) == [f"{folder} is gone"]
    assert str(mine) in lab.git("worktree", "list")
    assert restore(lab.place(), "deeper") == folder


@pytest.mark.parametrize("content", [None, "", "{", '{"experiment": "other", "pins": {}}'])
def test_a_marker_that_is_damaged(lab: Lab, content: str | None) -> None:
    """The branch says what it said."""
    folder = start(lab.place(), "deeper").worktree
    marker = git_folder(folder) / MARKER
    before = marker.read_text()
    marker.unlink() if content is None else marker.write_text(content)
    surroundings = {**lab.surroundings(), "cwd": folder}
    words = command("experiment", "doctor", "--repair")
    done = subprocess.run(words, **surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "written anew" in done.stdout and marker.read_text() == before
    assert lab.command("experiment", "doctor").returncode == 0


def test_locks_of_processes_that_are_gone(lab: Lab) -> None:
    """In a worktree, in the user's folder, of a reference."""
    folder = start(lab.place(), "deeper").worktree
    common = lab.repository / ".git"
    locks = [common / "index.lock", common / "refs/heads/exp/deeper.lock", git_folder(folder) / "index.lock"]
    for lock in locks:
        lock.touch()
    assert lab.command("experiment", "doctor").returncode == 4
    assert len(mended(lab)) == 3 and not any(lock.exists() for lock in locks)


def test_a_lock_of_a_living_git_stays(lab: Lab) -> None:
    """Its process works in the repository."""
    lock = lab.repository / ".git/index.lock"
    lock.touch()
    with subprocess.Popen(["git", "hash-object", "--stdin"], cwd=lab.repository, stdin=subprocess.PIPE) as living:
        list(examine(lab.place(), repair=True))
        assert lock.exists()
        living.kill()
    assert len(mended(lab)) == 1


def test_folders_that_were_never_whole(lab: Lab) -> None:
    """Of a start, however far git came, and of an evaluation of what would be merged."""
    start(lab.place(), "deeper")
    place = lab.place()
    half, early = place.worktrees / f"{MAKING}wider", lab.repository / ".git/worktrees/-making-early"
    lab.git("worktree", "add", "--quiet", str(half), "-b", "exp/wider", "exp/deeper")
    lab.git("worktree", "lock", str(half), "--reason", "initializing")
    early.mkdir()
    (early / "locked").write_text("initializing")
    (place.worktrees / f"{MAKING}early").mkdir()
    scratch = place.worktrees / merge_folder("deeper")
    lab.git("worktree", "add", "--quiet", "--detach", str(scratch))
    lab.git("update-ref", "-d", "refs/heads/exp/wider")
    assert len(mended(lab)) == 3
    assert not half.exists() and not early.exists() and not scratch.exists()
    assert len(lab.place().repository.worktrees()) == 2


def test_a_folder_that_was_not_moved_to_its_end(lab: Lab) -> None:
    """What is in it stays."""
    folder = start(lab.place(), "deeper").worktree
    (folder / "idea.md").write_text("an idea\n")
    (git_folder(folder) / "gitdir").write_text(f"{folder.with_name(MAKING + 'deeper')}/.git\n")
    assert len(mended(lab)) == 1
    assert (folder / "idea.md").read_text() == "an idea\n" and lab.place().worktree("deeper") == folder


def test_a_folder_without_its_git_file(lab: Lab) -> None:
    """It gets it back, and its files are as they were."""
    folder = start(lab.place(), "deeper").worktree
    (folder / "idea.md").write_text("an idea\n")
    (folder / ".git").unlink()
    with pytest.raises(ProjectError, match=r"has lost its \.git file"):
        lab.place().worktree("deeper")
    assert mended(lab) == [f"{folder} has lost its .git file"]
    assert lab.git("status", "--porcelain", cwd=folder) == "?? idea.md"


def test_a_folder_that_was_being_removed(lab: Lab) -> None:
    """What is left of it goes."""
    start(lab.place(), "deeper")
    left = lab.place().worktrees / f"{MAKING}deeper.gone"
    (left / "flows").mkdir(parents=True)
    assert mended(lab) == [f"{left} is not whole"] and not left.exists()


def test_a_drop_that_was_killed(lab: Lab) -> None:
    """The folder goes, what was written into it meanwhile stays in the archive."""
    folder = start(lab.place(), "deeper").worktree
    lab.git("update-ref", "refs/archive/exp/deeper/0", lab.place().tip("deeper"))
    lab.git("update-ref", "-d", "refs/heads/exp/deeper")
    (folder / "late.md").write_text("late\n")
    assert len(mended(lab)) == 1 and not folder.exists()
    assert lab.git("show", "refs/archive/exp/deeper/0:late.md") == "late"


def test_what_only_the_user_can_decide(lab: Lab) -> None:
    """A branch that is gone though its folder is not, one that is no experiment's, a folder on another branch."""
    gone = start(lab.place(), "gone").worktree
    lab.git("update-ref", "-d", "refs/heads/exp/gone")
    lab.git("branch", "exp/by-hand")
    aside = start(lab.place(), "aside").worktree
    lab.git("switch", "--quiet", "-c", "other", cwd=aside)
    (lab.place().worktrees / "stray").mkdir()
    found = {each.what: (each.state, each.detail) for each in examine(lab.place(), repair=True)}
    assert {what: state for what, (state, _) in found.items()} == {
        "exp/gone": "problem",
        "exp/by-hand": "warning",
        "exp/aside": "warning",
        "exp/stray": "warning",
    }
    assert gone.exists() and f"git -C {aside} switch exp/aside" in found["exp/aside"][1]
    lab.git(*found["exp/gone"][1].partition(": git ")[2].split())
    assert lab.git("status", "--porcelain", cwd=gone) == ""


def test_copies_of_an_index(lab: Lab) -> None:
    """A killed process leaves one; one of a living process is young."""
    old, young = (lab.repository / ".git" / f"{SCRATCH}{name}" for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (0, 0))
    assert len(mended(lab)) == 1 and young.exists()


def test_an_experiment_that_is_in_use(lab: Lab) -> None:
    """It is looked at another time."""
    folder = start(lab.place(), "deeper").worktree
    (git_folder(folder) / MARKER).unlink()
    with lab.place().lease("deeper"):
        (only,) = examine(lab.place(), repair=True)
    assert only.state == "warning" and "in use" in only.detail
    assert len(mended(lab)) == 1


def decided(lab: Lab, name: str) -> journal.Entry:
    """Write down that an experiment is accepted, as accept does right before it moves the target."""
    place = lab.place()
    old, tip = place.repository.resolve("main"), place.tip(name)
    new = place.repository.commit(f"{tip}^{{tree}}", [old, tip], "Accept it\n")
    record = place.records(name)[name][-1]
    published = (getattr(record, "published", ""),)
    entry = journal.Entry(
        name=name,
        target="refs/heads/main",
        old=old,
        new=new,
        published=tuple(filter(None, published)),
        archive={name: (f"refs/archive/exp/{name}/1", tip, tip)},
    )
    journal.write(place, entry)
    return entry


def test_accept_was_killed_before_it_was_decided(lab: Lab) -> None:
    """Files that git had begun to write are as they were; what the user has changed stays."""
    folder = start(lab.place(), "deeper").worktree
    lab.edit("deeper", "flows/model.py", "depth: int = 1", "depth: int = 4")
    (folder / "new.md").write_text("a new file\n" * 9)
    (folder / "mine.md").write_text("theirs\n")
    (folder / "raw.csv").unlink()
    lab.commit("try it", cwd=folder)
    before = state_of(lab)
    decided(lab, "deeper")
    (lab.root / "flows/model.py").write_text((folder / "flows/model.py").read_text()[:40])
    (lab.root / "new.md").write_text("a new file\n")
    (lab.root / "raw.csv").unlink()
    (lab.root / "mine.md").write_text("mine\n")
    lab.git("update-index", "--add", "--cacheinfo", f"100644,{lab.git('rev-parse', 'exp/deeper:new.md')},new.md")
    lab.git("update-index", "--force-remove", "raw.csv")
    (lab.repository / ".git/index.lock").touch()
    assert len(mended(lab)) == 2
    (lab.root / "mine.md").unlink()
    assert state_of(lab) == before
    assert "deeper" in lab.place().branches()


def test_accept_was_killed_after_it_was_decided(lab: Lab) -> None:
    """It is ended: published, archived."""
    folder = start(lab.place(), "deeper").worktree
    lab.try_out("deeper")
    entry = decided(lab, "deeper")
    lab.git("merge", "--quiet", "--ff-only", entry.new)
    (folder / "late.md").write_text("late\n")
    assert len(mended(lab)) == 1
    assert not lab.place().branches() and not folder.exists()
    assert lab.git("show", "refs/archive/exp/deeper/1:late.md") == "late"


def test_accept_was_killed_and_the_experiment_went_on(lab: Lab) -> None:
    """Commits that the target does not have keep it alive."""
    folder = start(lab.place(), "deeper").worktree
    lab.try_out("deeper")
    entry = decided(lab, "deeper")
    lab.git("merge", "--quiet", "--ff-only", entry.new)
    (folder / "late.md").write_text("late\n")
    tip = lab.commit("go on", cwd=folder)
    assert len(mended(lab)) == 1
    assert lab.place().branches() == {"deeper": tip} and Path(folder / "late.md").exists()


def test_sync_was_killed_while_git_wrote_files(lab: Lab) -> None:
    """They are as they were, whoever comes first: the doctor, or the next to sync."""
    folder = start(lab.place(), "deeper").worktree
    lab.replace("flows/model.py", "depth: int = 1", "depth: int = 4")
    (lab.root / "new\nname.md").write_text("a new file\n" * 9)
    new = lab.commit("go on")
    before = lab.git("rev-parse", "exp/deeper")
    wanted = Move(branch="refs/heads/exp/deeper", old=before, new=new)
    for mend in (lambda: mended(lab), lambda: sync(lab.place(), "deeper")):
        (lab.place().folder / "deeper.move.json").write_text(json.dumps(asdict(wanted)))
        (folder / "flows/model.py").write_text((lab.root / "flows/model.py").read_text()[:40])
        (folder / "new\nname.md").write_text("a new file\n")
        mend()
        assert lab.git("status", "--porcelain", cwd=folder) == ""
    assert "depth: int = 4" in (folder / "flows/model.py").read_text() and (folder / "new\nname.md").exists()
