"""How experiments begin: what comes along, what stays as it is, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.errors import ProjectError, StoreBusy, UsageError
from filiera.experiments.starting import Beginning, start
from tests.experiments.lab import Lab, state_of


def test_an_experiment_is_a_branch_with_a_folder(lab: Lab) -> None:
    """The folder has the files of the commit and a record; the user's folder and index are as they were."""
    before = state_of(lab)
    started = start(lab.place(), "deeper")
    assert state_of(lab) == before
    assert (started.worktree / "flows/model.py").read_text() == (lab.root / "flows/model.py").read_text()
    assert lab.git("branch", "--show-current", cwd=started.worktree) == "exp/deeper"
    assert lab.git("status", "--porcelain", cwd=started.worktree) == ""
    record = lab.place().start_of("deeper")
    assert (record.base, record.target, dict(record.pins)) == (before[0], "refs/heads/main", {"points": 1})
    assert not started.worktree.is_relative_to(lab.root)


def test_changes_come_along_and_stay_where_they_are(lab: Lab) -> None:
    """Changed, staged, deleted and new files come along; ignored ones do not; nothing changes in the user's folder."""
    (lab.root / "flows/extra.py").write_text("X = 1\n")
    lab.replace("flows/model.py", "depth: int = 1", "depth: int = 2")
    lab.git("add", "flows/model.py")
    lab.replace("flows/model.py", "depth: int = 2", "depth: int = 3")
    (lab.root / "raw.csv").rename(lab.root / "moved.csv")
    (lab.root / "__pycache__").mkdir(exist_ok=True)
    (lab.root / "__pycache__/x").write_text("ignored")
    before = state_of(lab)
    started = start(lab.place(), "deeper")
    assert state_of(lab) == before
    assert started.record.is_carried
    assert "depth: int = 3" in (started.worktree / "flows/model.py").read_text()
    assert (started.worktree / "flows/extra.py").exists()
    assert (started.worktree / "moved.csv").exists() and not (started.worktree / "raw.csv").exists()
    assert not (started.worktree / "__pycache__").exists()


def test_changes_stay_behind_or_are_refused(lab: Lab) -> None:
    """``ignore`` begins from the commit; ``refuse`` names the files."""
    (lab.root / "new.py").write_text("")
    assert not (start(lab.place(), "clean", Beginning(dirty="ignore")).worktree / "new.py").exists()
    with pytest.raises(UsageError, match=r"not committed: new\.py"):
        start(lab.place(), "refused", Beginning(dirty="refuse"))
    assert "refused" not in lab.place().branches()


@pytest.mark.parametrize("name", ["", "Deeper", "a/b", "ümlaut", "-x", "a b", "x" * 49, "..", "a~b", "a@b"])
def test_names_are_simple(name: str, lab: Lab) -> None:
    """What could not be a folder on some system, or would look like another reference, is refused."""
    with pytest.raises(UsageError, match="cannot name an experiment"):
        start(lab.place(), name)


def test_a_name_means_one_experiment(lab: Lab) -> None:
    """It can be used once."""
    start(lab.place(), "deeper")
    with pytest.raises(UsageError, match="There is an experiment 'deeper' already"):
        start(lab.place(), "deeper")


def test_two_begin_at_once(lab: Lab) -> None:
    """The one that comes second hears who is first."""
    with lab.place().lease("deeper"), pytest.raises(StoreBusy, match=r"'deeper' is in use"):
        start(lab.place(), "deeper")


def test_a_detached_head_asks_for_the_target(lab: Lab) -> None:
    """Without a branch it is not known where the experiment would go."""
    lab.git("checkout", "--quiet", "--detach")
    with pytest.raises(UsageError, match="No branch is checked out"):
        start(lab.place(), "deeper")
    assert start(lab.place(), "deeper", Beginning(into="main")).record.target == "refs/heads/main"
    with pytest.raises(UsageError, match="no branch 'nowhere'"):
        start(lab.place(), "other", Beginning(into="nowhere"))
    with pytest.raises(UsageError, match="no commit 'nothing'"):
        start(lab.place(), "other", Beginning(base="nothing", into="main"))


def test_states_nothing_can_begin_from(lab: Lab, tmp_path: Path) -> None:
    """No repository, no commit, a merge under way: each is said, and nothing is made."""
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "filiera.toml").write_text('[project]\nname = "alone"\n')
    with pytest.raises(ProjectError, match="not in a git repository"):
        lab.place(alone)
    lab.git("init", "--quiet", cwd=alone)
    with pytest.raises(ProjectError, match="no commits yet"):
        start(lab.place(alone), "deeper")
    (lab.repository / ".git/MERGE_HEAD").write_text(lab.git("rev-parse", "HEAD") + "\n")
    with pytest.raises(ProjectError, match="in the middle of something"):
        start(lab.place(), "deeper")
    assert not lab.place().branches()


def test_a_worktree_that_was_removed_by_hand_is_made_again(lab: Lab) -> None:
    """The branch has all that was committed."""
    import shutil

    folder = start(lab.place(), "deeper").worktree
    shutil.rmtree(folder)
    place = lab.place()
    with place.lease("deeper"):
        assert place.ensure_worktree("deeper") == folder
    assert (folder / "flows/model.py").exists()


def test_a_branch_that_is_checked_out_elsewhere_is_left_there(lab: Lab, tmp_path: Path) -> None:
    """A worktree that the user made is not ours; the message says where it is."""
    folder = start(lab.place(), "deeper").worktree
    lab.git("worktree", "unlock", str(folder))
    lab.git("worktree", "remove", str(folder))
    lab.git("worktree", "add", str(tmp_path / "mine"), "exp/deeper")
    place = lab.place()
    with place.lease("deeper"), pytest.raises(ProjectError, match=r"checked out in .*mine"):
        place.ensure_worktree("deeper")


def test_data_that_nobody_meant_to_commit_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large new files, and repositories in the repository, neither of which belongs into a commit."""
    monkeypatch.setattr("filiera.experiments.files.LARGEST_NEW_BYTES", 1000)
    (lab.root / "table.parquet").write_bytes(b"x" * 2000)
    with pytest.raises(UsageError, match=r"such as table\.parquet"):
        start(lab.place(), "deeper")
    (lab.root / "table.parquet").unlink()
    lab.git("init", "--quiet", "inner")
    (lab.root / "inner/file").write_text("x")
    with pytest.raises(UsageError, match="inner is a repository of its own"):
        start(lab.place(), "deeper")
    assert not lab.place().branches()
