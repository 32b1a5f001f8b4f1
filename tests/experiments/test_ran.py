"""Whether a commit has the files that ran, also when git has cleaned up."""

from __future__ import annotations

import pytest

from filiera.errors import Rejected
from filiera.experiments.accepting import Acceptance, accept
from filiera.experiments.ran import changes_since
from filiera.experiments.records import runs_in
from filiera.experiments.starting import start
from tests.experiments.lab import Lab


def clean_up(lab: Lab) -> None:
    """Let git remove what nothing refers to."""
    lab.git("gc", "--quiet", "--prune=now")


def changes(lab: Lab, name: str) -> list[str]:
    """Return the files that differ from those of an experiment's newest run."""
    place = lab.place()
    runs = runs_in(place.records(name)[name])
    return changes_since(place, runs[-1], runs, place.tip(name))


def test_an_old_experiment_can_be_accepted(lab: Lab) -> None:
    """Its tree is gone from git; the commit says what it was."""
    start(lab.place(), "deeper")
    lab.edit("deeper", "flows/model.py", "depth: int = 1", "depth: int = 3")
    lab.try_out("deeper")
    lab.try_out("deeper", depth="4")
    clean_up(lab)
    assert changes(lab, "deeper") == []
    with lab.opened():
        assert accept(lab.place(), "deeper", Acceptance()).finished is not None


@pytest.mark.parametrize("is_clean", [False, True], ids=["at once", "cleaned up"])
@pytest.mark.parametrize("words", [("commit", "-qm", "x"), ("commit", "-q", "--amend", "--no-edit")], ids=str)
def test_other_files_are_noticed(words: tuple[str, ...], is_clean: bool, lab: Lab) -> None:
    """Also those that were slipped into the commit of the run."""
    start(lab.place(), "deeper")
    lab.try_out("deeper")
    lab.edit("deeper", "flows/model.py", "depth: int = 1", "depth: int = 3")
    lab.git("add", "--all", cwd=lab.folder_of("deeper"))
    lab.git(*words, cwd=lab.folder_of("deeper"))
    if is_clean:
        lab.git("reflog", "expire", "--expire=now", "--all")
        clean_up(lab)
    assert changes(lab, "deeper")
    with pytest.raises(Rejected, match="are not those that"):
        accept(lab.place(), "deeper", Acceptance())
