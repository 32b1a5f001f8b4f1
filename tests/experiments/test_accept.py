"""Accepting: what is merged was evaluated, gates decide, nothing half-way, nothing lost."""

from __future__ import annotations

import pytest

from filiera.adapters.git_repository import Repository
from filiera.errors import Rejected, StoreBusy, UsageError
from filiera.experiments import journal
from filiera.experiments.accepting import LEASE, Acceptance, Accepted, accept
from filiera.experiments.dropping import restore
from filiera.experiments.starting import start
from filiera.experiments.syncing import sync
from tests.experiments.lab import Lab

DEEPER = ("flows/model.py", "depth: int = 1", "depth: int = 6")


def accepted(lab: Lab, name: str, **options: bool | str) -> Accepted:
    """Accept an experiment in this process."""
    with lab.opened():
        return accept(lab.place(), name, Acceptance(**options))  # type: ignore[arg-type]


def a_better_one(lab: Lab, name: str = "deeper") -> None:
    """Make an experiment with a deeper tree, which has run."""
    start(lab.place(), name)
    lab.edit(name, *DEEPER)
    assert lab.try_out(name).run.status == "succeeded"


def versions(lab: Lab) -> set[str]:
    """Return the published versions that are no experiment's."""
    with lab.opened() as project:
        return {version.ref for version in project.versions.find() if "~" not in version.name}


def test_the_preferred_one_is_merged_and_published(lab: Lab) -> None:
    """Main gets its files and its version, nothing is computed again, the experiment goes into the archive."""
    a_better_one(lab)
    folder = lab.folder_of("deeper")
    done = accepted(lab, "deeper")
    assert not done.is_evaluated_again
    assert "depth: int = 6" in (lab.root / "flows/model.py").read_text()
    assert lab.git("status", "--porcelain") == ""
    assert lab.git("rev-parse", "main") == done.commit
    assert versions(lab) == {"points@1", "judge@1", "judge@2"}
    assert done.finished is not None and [one.ref for one in done.finished.published] == ["judge@2"]
    assert lab.git("rev-parse", "refs/tags/model/judge@v2") == done.commit
    assert not folder.exists() and "deeper" not in lab.place().branches() and "deeper" in lab.place().archived()
    trailers = lab.git("log", "-1", "--format=%(trailers:only)", "main")
    for key in ("Experiment: deeper", "Run: train-2", "Metrics: accuracy=", "Dataset: points@1", "Signature: "):
        assert key in trailers
    assert lab.run("train").state.count("hit") == len(lab.run("train").state.steps)
    assert versions(lab) == {"points@1", "judge@1", "judge@2"}


def test_squashed_into_one_commit(lab: Lab) -> None:
    """The history of main has one commit more."""
    a_better_one(lab)
    before = lab.git("rev-parse", "main")
    accepted(lab, "deeper", squash=True)
    assert lab.git("log", "--format=%H", f"{before}..main").count("\n") == 0


def test_the_target_has_moved(lab: Lab) -> None:
    """What comes of merging is run, and published."""
    a_better_one(lab)
    lab.replace("flows/model.py", "random_state=0", "random_state=1")
    moved = lab.commit("another seed")
    done = accepted(lab, "deeper")
    assert done.is_evaluated_again
    text = (lab.root / "flows/model.py").read_text()
    assert "depth: int = 6" in text and "random_state=1" in text
    assert lab.git("merge-base", moved, "main") == moved
    assert lab.run("train").state.count("hit") == len(lab.run("train").state.steps)


@pytest.mark.parametrize("what", ["files", "data"])
def test_what_sync_brought_need_not_be_run_before(what: str, lab: Lab) -> None:
    """It is the target's: what comes of both is run, and its metrics are those that count."""
    a_better_one(lab)
    if what == "files":
        (lab.root / "readme.md").write_text("about it\n")
        lab.commit("write about it")
    else:
        lab.replace("flows/data.py", 'pl.col("a") * 2', 'pl.col("a") * 3')
        lab.commit("three times")
        assert lab.run("points").version is not None
    assert sync(lab.place(), "deeper").is_changed
    done = accepted(lab, "deeper")
    assert done.is_evaluated_again
    used = "points@2" if what == "data" else "points@1"
    assert f"Dataset: {used}" in lab.git("log", "-1", "--format=%(trailers:only)", "main")
    assert lab.run("train").state.count("hit") == len(lab.run("train").state.steps)


def test_gates_look_at_what_would_be_merged(lab: Lab) -> None:
    """Both pass alone; together they do not: nothing is changed."""
    a_better_one(lab)
    lab.replace("flows/model.py", "at_least=0.6", "at_least=1.1")
    lab.commit("ask for more")
    before = lab.git("rev-parse", "main")
    with pytest.raises(Rejected, match="would be merged does not pass"):
        accepted(lab, "deeper")
    assert lab.git("rev-parse", "main") == before and "deeper" in lab.place().branches()
    assert not list(lab.place().worktrees.glob(".making-*"))


def test_a_conflict_is_told_and_solved_by_sync(lab: Lab) -> None:
    """The files are named, nothing changes; sync leaves both sides in the worktree, and afterwards it goes on."""
    a_better_one(lab)
    lab.replace(*("flows/model.py", "depth: int = 1", "depth: int = 3"))
    lab.commit("deeper by hand")
    with pytest.raises(Rejected, match=r"in conflict with main: flows/model\.py"):
        accepted(lab, "deeper")
    with pytest.raises(Rejected, match="in conflict with its target"):
        sync(lab.place(), "deeper")
    folder = lab.folder_of("deeper")
    assert "<<<<<<<" in (folder / "flows/model.py").read_text()
    lab.git("checkout", "--ours", "flows/model.py", cwd=folder)
    lab.commit("keep six", cwd=folder)
    assert sync(lab.place(), "deeper").is_changed
    assert not sync(lab.place(), "deeper").is_changed
    assert accepted(lab, "deeper", dry_run=True).is_evaluated_again
    with pytest.raises(Rejected, match="are not those that train-"):
        lab.edit("deeper", "flows/model.py", "depth: int = 6", "depth: int = 7")
        lab.commit("another idea", cwd=folder)
        accepted(lab, "deeper")
    lab.try_out("deeper")
    assert not accepted(lab, "deeper").is_evaluated_again


def test_what_did_not_run_is_not_merged(lab: Lab) -> None:
    """No run yet, changes that are not committed, and a rejected one."""
    start(lab.place(), "deeper")
    with pytest.raises(Rejected, match="has not run yet"):
        accepted(lab, "deeper")
    lab.try_out("deeper")
    lab.edit("deeper", *DEEPER)
    with pytest.raises(Rejected, match=r"changes that did not run: flows/model\.py"):
        accepted(lab, "deeper")
    lab.edit("deeper", "flows/model.py", "at_least=0.6", "at_least=1.1")
    lab.try_out("deeper")
    with pytest.raises(Rejected, match=r"train-\d+ was rejected"):
        accepted(lab, "deeper")


def test_data_that_moved_on(lab: Lab) -> None:
    """An experiment on an older dataset is refused until it is brought up to date, or that is said to be meant."""
    a_better_one(lab)
    lab.replace("flows/data.py", 'pl.col("a") * 2', 'pl.col("a") * 3')
    lab.commit("three times")
    assert lab.run("points").version.ref == "points@2"  # type: ignore[union-attr]
    with pytest.raises(Rejected, match="data have moved on"):
        accepted(lab, "deeper")
    assert accepted(lab, "deeper", allow_data_change=True, dry_run=True).finished is None
    assert sync(lab.place(), "deeper").record.pins == {"points": 2}
    lab.try_out("deeper")
    assert accepted(lab, "deeper").finished is not None


def test_an_experiment_with_its_own_dataset(lab: Lab) -> None:
    """Both are published, and the model says that it was made from the dataset as it is called now."""
    start(lab.place(), "features")
    lab.edit("features", "flows/data.py", 'pl.col("a") * 2', 'pl.col("a") ** 2 + pl.col("b")')
    lab.edit("features", "flows/model.py", 'INPUTS = ["a", "b"]', 'INPUTS = ["a", "b", "double"]')
    lab.try_out("features", "points")
    lab.try_out("features")
    done = accepted(lab, "features")
    assert done.finished is not None
    assert [one.ref for one in done.finished.published] == ["points@2", "judge@2"]
    assert done.finished.published[1].inputs == {"points": "points@2"}


def test_a_dataset_made_after_the_model(lab: Lab) -> None:
    """The model is not of that dataset."""
    start(lab.place(), "features")
    lab.try_out("features", "points")
    lab.try_out("features")
    lab.edit("features", "flows/data.py", 'pl.col("a") * 2', 'pl.col("a") * 5')
    lab.try_out("features", "points")
    with pytest.raises(Rejected, match=r"are not those that train-\d+ ran"):
        accepted(lab, "features")
    lab.try_out("features")
    lab.edit("features", "flows/data.py", 'pl.col("a") * 5', 'pl.col("a") * 6')
    lab.try_out("features")
    lab.try_out("features", "points")
    with pytest.raises(Rejected, match=r"used an older dataset than points~features@3"):
        accepted(lab, "features")


def test_the_others_are_dropped_with_what_is_not_committed(lab: Lab) -> None:
    """One act; each of them can be brought back as it was."""
    a_better_one(lab)
    for name in ("wider", "idle"):
        start(lab.place(), name)
    (lab.folder_of("wider") / "idea.md").write_text("wide\n")
    done = accepted(lab, "deeper", drop_others=True)
    assert done.finished is not None and sorted(done.finished.archived) == ["deeper", "idle", "wider"]
    assert not lab.place().branches()
    assert (restore(lab.place(), "wider") / "idea.md").read_text() == "wide\n"


def test_changes_in_the_way_are_left_alone(lab: Lab) -> None:
    """Those of the same file stop it, others do not; either way they stay."""
    a_better_one(lab)
    (lab.root / "notes.md").write_text("mine\n")
    lab.replace("flows/model.py", "random_state=0", "random_state=9")
    before = lab.git("rev-parse", "main")
    with pytest.raises(UsageError, match="main cannot take experiment 'deeper'"):
        accepted(lab, "deeper")
    assert lab.git("rev-parse", "main") == before and journal.read(lab.place()) is None
    assert "random_state=9" in (lab.root / "flows/model.py").read_text()
    lab.git("restore", "flows/model.py")
    assert accepted(lab, "deeper").finished is not None
    assert (lab.root / "notes.md").read_text() == "mine\n"


def test_a_target_that_is_not_checked_out(lab: Lab) -> None:
    """Its branch moves, no folder changes."""
    a_better_one(lab)
    lab.git("switch", "--quiet", "-c", "other")
    done = accepted(lab, "deeper")
    assert lab.git("rev-parse", "main") == done.commit
    assert "depth: int = 1" in (lab.root / "flows/model.py").read_text() and lab.git("status", "--porcelain") == ""
    with pytest.raises(UsageError, match="no experiment 'deeper'"):
        accepted(lab, "deeper")


def test_a_removed_worktree_does_not_matter(lab: Lab) -> None:
    """All that counts is committed."""
    import shutil

    a_better_one(lab)
    shutil.rmtree(lab.folder_of("deeper"))
    assert accepted(lab, "deeper").finished is not None


@pytest.mark.parametrize("at", ["before", "after"])
def test_killed_before_and_after_it_was_decided(at: str, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the target moved nothing has happened; after it the next one who comes ends it."""
    a_better_one(lab)
    before = lab.git("rev-parse", "main")

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    name = "filiera.experiments.accepting._moved" if at == "before" else "filiera.experiments.journal.finish"
    with monkeypatch.context() as patch:
        patch.setattr(name, kill)
        with pytest.raises(Killed):
            accepted(lab, "deeper")
    place = lab.place()
    with place.lease(LEASE):
        said = journal.recover(place)
    if at == "before":
        assert "not decided" in said and lab.git("rev-parse", "main") == before
        assert accepted(lab, "deeper").finished is not None
    assert versions(lab) == {"points@1", "judge@1", "judge@2"}
    assert not lab.place().branches() and journal.read(lab.place()) is None


def test_one_at_a_time(lab: Lab) -> None:
    """Whoever comes second hears so."""
    a_better_one(lab)
    with lab.place().lease(LEASE), pytest.raises(StoreBusy, match="Accepting experiments is in use"):
        accepted(lab, "deeper")


def test_somebody_moves_the_target_at_the_last_moment(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is merged and run anew with what came."""
    a_better_one(lab)
    commits: list[str] = []
    commit = Repository.commit

    def moving(self: Repository, tree: str, parents: list[str], message: str) -> str:
        made = commit(self, tree, parents, message)
        if message.startswith("Accept") and not commits:
            (lab.root / "late.md").write_text("late\n")
            commits.append(lab.commit("at the last moment"))
        return made

    monkeypatch.setattr(Repository, "commit", moving)
    done = accepted(lab, "deeper")
    assert done.is_evaluated_again and lab.git("merge-base", commits[0], "main") == commits[0]
    assert (lab.root / "late.md").exists()


def test_a_break_of_a_contract_is_not_merged(lab: Lab) -> None:
    """Where contracts are kept, what applications count on is kept too; an experiment may bring an approval along."""
    (lab.root / "contracts").mkdir()
    (lab.root / "contracts" / "deployments.json").write_text("{}")
    lab.commit("keep contracts")
    start(lab.place(), "fewer")
    lab.edit("fewer", "flows/model.py", 'INPUTS = ["a", "b"]', 'INPUTS = ["a"]')
    lab.edit("fewer", "flows/model.py", "at_least=0.6", "at_least=0.1")
    lab.try_out("fewer")
    before = lab.git("rev-parse", "main")
    with pytest.raises(Rejected, match="does not keep the contract of judge@champion") as refused:
        accepted(lab, "fewer")
    assert "inputs.b: requests that have it are refused" in refused.value.why
    assert lab.git("rev-parse", "main") == before
    fingerprint = refused.value.why.split(" inputs.b")[0].split()[-1]
    approved = f'model = "judge"\nbreak = "{fingerprint}"\nreason = "nobody sends it"\nuntil = 2999-01-01\n'
    (lab.folder_of("fewer") / "contracts" / "approved.toml").write_text(f"[[approved]]\n{approved}")
    lab.try_out("fewer")
    assert accepted(lab, "fewer").finished is not None
    assert versions(lab) == {"points@1", "judge@1", "judge@2"}
