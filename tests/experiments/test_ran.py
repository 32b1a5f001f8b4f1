"""Whether a commit has the files that ran, also when git has cleaned up."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from filiera.errors import Rejected
from filiera.experiments.accepting import Acceptance, accept
from filiera.experiments.ran import changes_since, tree_without
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


def test_the_name_of_a_tree_without_files(tmp_path: Path) -> None:
    """It is the one that git gives it, also where a folder, or all above it, would be empty."""

    def git(*words: str) -> bytes:
        return subprocess.run(["git", *words], cwd=tmp_path, capture_output=True, check=True).stdout

    def tree(files: Iterable[str]) -> str:
        git("read-tree", "--empty")
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(file)
            git("update-index", "--add", file)
        return git("write-tree").decode().strip()

    git("init", "--quiet")
    for others in ([], ["a.py"], ["sub/a.py", "sub.py", "sub-b/c"], ["sub/experiments/other/1.json", "z/experiments"]):
        for kept in ([], ["1.json"], ["1.json", "3.json"]):
            folder = [f"sub/experiments/deeper/{file}" for file in kept]
            gone = ["sub/experiments/deeper/2.json", "sub/experiments/deeper/4.json"]
            whole = tree([*others, *folder, *gone])
            names = [whole, *(f"{whole}:{path}" for path in ("sub", "sub/experiments", "sub/experiments/deeper"))]
            trees = [git("cat-file", "tree", name) for name in names]
            found = tree_without(trees, ["sub", "experiments", "deeper"], ["2.json", "4.json"], 20)
            assert found == tree([*others, *folder])
