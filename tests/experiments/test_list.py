"""The list of experiments, and one of them: how they stand, what is remembered, what is told."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from filiera.experiments.accepting import Acceptance, accept
from filiera.experiments.comparing import compare
from filiera.experiments.dropping import restore
from filiera.experiments.listing import Listed, list_accepted, list_experiments
from filiera.experiments.showing import show
from filiera.experiments.starting import start
from filiera.experiments.syncing import sync
from tests.experiments.lab import Lab


def listed(lab: Lab) -> dict[str, Listed]:
    """Return the experiments by name."""
    return {each.name: each for each in list_experiments(lab.place())}


def states(lab: Lab) -> dict[str, str]:
    """Return the state of each experiment."""
    return {name: each.state for name, each in listed(lab).items()}


@contextmanager
def processes() -> Iterator[list[str]]:
    """Give a list that is filled with the git commands that are started meanwhile."""
    started: list[str] = []
    whole = subprocess.Popen.__init__

    def counted(self: Any, command: Any, *words: Any, **options: Any) -> None:
        started.append(" ".join(command))
        whole(self, command, *words, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", counted)
        yield started


def test_the_state_is_the_one_that_matters(lab: Lab) -> None:
    """New, as its newest run ended, stale once other files are committed, running while a process has its lease."""
    for name in ("one", "two", "three"):
        start(lab.place(), name)
    assert states(lab) == {"one": "new", "two": "new", "three": "new"}
    lab.edit("two", "flows/model.py", "at_least=0.6", "at_least=1.1")
    lab.try_out("one")
    lab.try_out("two")
    assert states(lab) == {"one": "succeeded", "two": "rejected", "three": "new"}
    lab.edit("one", "flows/model.py", "depth: int = 1", "depth: int = 2")
    lab.commit("deeper", cwd=lab.folder_of("one"))
    with lab.place().lease("three"):
        assert states(lab) == {"one": "stale", "two": "rejected", "three": "running"}
    lab.edit("one", "flows/model.py", "depth: int = 2", "depth: int = 1")
    lab.commit("not deeper", cwd=lab.folder_of("one"))
    assert states(lab) == {"one": "succeeded", "two": "rejected", "three": "new"}


def test_the_newest_measured_run_counts(lab: Lab) -> None:
    """A dataset that was made later does not take its place; runs of the same files do not make each other stale."""
    start(lab.place(), "one")
    lab.try_out("one", depth="2")
    lab.try_out("one", depth="3")
    lab.try_out("one", "points")
    (one,) = listed(lab).values()
    assert (one.summary.runs, one.summary.status, one.summary.parameters) == (3, "succeeded", {"fit.depth": 3})
    assert one.state == "succeeded" and one.summary.gated == ["accuracy"]


def test_it_stands_beside_its_target(lab: Lab) -> None:
    """How many commits each has that the other has not; merged by hand or accepted, it is merged."""
    for name in ("one", "two"):
        start(lab.place(), name)
        lab.try_out(name)
    for note in ("first", "second"):
        (lab.root / f"{note}.md").write_text(note)
        lab.commit(note)
    found = listed(lab)["one"].standing
    assert found is not None and (found.ahead, found.behind, found.is_merged) == (2, 2, False)
    sync(lab.place(), "one")
    found = listed(lab)["one"].standing
    assert found is not None and (found.ahead, found.behind) == (3, 0)
    assert states(lab) == {"one": "stale", "two": "succeeded"}
    lab.git("merge", "--quiet", "--no-ff", "--no-edit", "exp/two")
    assert states(lab) == {"one": "stale", "two": "merged"}
    lab.git("branch", "-m", "main", "trunk")
    assert listed(lab)["one"].standing is None


def test_accepted_ones_are_known_by_what_their_commits_say(lab: Lab) -> None:
    """Also those that were squashed, which are no ancestors of their target, and whose branches are gone."""
    for name, depth, squash in (("one", "2", True), ("two", "3", False)):
        start(lab.place(), name)
        lab.edit(name, "flows/model.py", "depth: int = ", f"depth: int = {depth} or ")
        lab.try_out(name)
        with lab.opened():
            accept(lab.place(), name, Acceptance(squash=squash))
    assert not listed(lab)
    assert [each.trailers["Experiment"] for each in list_accepted(lab.place())] == [("two",), ("one",)]
    restore(lab.place(), "one")
    assert states(lab) == {"one": "merged"}
    told = lab.json("experiment", "list", "--accepted")
    assert [each["experiment"] for each in told] == ["two", "one"] and told[0]["run"] and told[0]["metrics"]


def test_newer_data_make_it_stale(lab: Lab) -> None:
    """Its files are those that ran; what they would be given now is not."""
    start(lab.place(), "one")
    lab.try_out("one")
    lab.replace("flows/data.py", 'pl.col("a") * 2', 'pl.col("a") * 3')
    lab.run("points")
    sync(lab.place(), "one")
    assert states(lab) == {"one": "stale"}


def test_it_is_known_though_git_has_cleaned_up(lab: Lab) -> None:
    """The tree of a run itself is in no commit; it is found again from the commit with the record."""
    for name, depth in (("one", "2"), ("two", "3")):
        start(lab.place(), name)
        lab.edit(name, "flows/model.py", "depth: int = 1", f"depth: int = {depth}")
        lab.try_out(name)
    lab.git("gc", "--quiet", "--prune=now")
    assert states(lab) == {"one": "succeeded", "two": "succeeded"}
    change = compare(lab.place(), ["one", "two"]).code["two"]
    assert [each.name for each in change.files] == ["flows/model.py"]


def test_a_list_takes_as_many_processes_however_long_it_is(lab: Lab) -> None:
    """What is at a commit is read once."""
    start(lab.place(), "one")
    lab.try_out("one")
    list_experiments(lab.place())
    for number in range(30):
        lab.git("branch", f"exp/more-{number}", "exp/one")
    place = lab.place()
    with processes() as first:
        assert len(list_experiments(place)) == 31
    with processes() as again:
        assert len(list_experiments(place)) == 31
    assert sum("cat-file" in each for each in first) == 2 and len(first) <= 6
    assert not any("cat-file" in each for each in again) and len(again) <= 4


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"format": 1, "commits": {"one": 3}}', b'{"format": 0}'])
def test_a_damaged_memory_is_made_anew(content: bytes, lab: Lab) -> None:
    """It holds nothing that is not in the branches."""
    start(lab.place(), "one")
    before = [each.data for each in list_experiments(lab.place())]
    (lab.place().folder / "listed.json").write_bytes(content)
    assert [each.data for each in list_experiments(lab.place())] == before


def test_a_branch_that_somebody_else_made_is_listed(lab: Lab) -> None:
    """Though no record says how it began."""
    lab.git("branch", "exp/strange")
    assert states(lab) == {"strange": "new"} and listed(lab)["strange"].standing is None
    assert "no record says how" in lab.command("experiment", "show", "strange").stdout


def test_one_is_shown(lab: Lab) -> None:
    """What is not committed, why a run was rejected, and what may be done next."""
    folder = start(lab.place(), "one").worktree
    assert list(show(lab.place(), "one").next) == ["filiera experiment run one"]
    lab.edit("one", "flows/model.py", "at_least=0.6", "at_least=0.9")
    run_id = lab.try_out("one").run.run_id
    found = show(lab.place(), "one")
    assert found.state == "rejected" and "accuracy" in found.runs[0].message
    assert list(found.next) == [f"filiera show {run_id}", "filiera experiment compare main one"]
    lab.try_out("one", depth="4")
    assert "filiera experiment accept one" in show(lab.place(), "one").next
    (folder / "idea.md").write_text("an idea\n")
    found = show(lab.place(), "one")
    assert (found.state, found.uncommitted) == ("stale", ("idea.md",))
    assert next(found.next) == "filiera experiment run one --pipeline train --set depth=4"
    told = lab.command("experiment", "show", "one").stdout
    for words in ("main, 3 commits ahead, 0 behind", "points@1", "idea.md", "depth=4", "rejected", "next:"):
        assert words in told
    data = lab.json("experiment", "show", "one")
    assert data["state"] == "stale" and len(data["runs"]) == 2 and data["start"]["pins"] == {"points": 1}


def test_the_command_sorts_by_a_metric(lab: Lab) -> None:
    """The best first, whichever way that metric is better; the gates' metric is shown where none is asked for."""
    for name, depth in (("shallow", "1"), ("deep", "4")):
        start(lab.place(), name)
        lab.try_out(name, depth=depth)
    header, *rows = lab.command("experiment", "list", "--sort", "log_loss").stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["deep", "shallow"] and "ACCURACY" in header and "LOG_LOSS" in header
    found = lab.json("experiment", "list", "--sort=-fit.depth")
    assert [each["parameters"]["fit.depth"] for each in found] == [4, 1]
    wrong = lab.command("experiment", "list", "--sort", "acuracy")
    assert wrong.returncode == 2 and "Did you mean 'accuracy'?" in wrong.stderr
    assert lab.command("experiment", "list", "--accepted", "--archived").returncode == 2
