from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from filiera.core.products import ProductRef
from filiera.project.importances import importance_key, kept_importances
from filiera.project.project import Project
from filiera.project.upkeep.garbage import collect, drop_version
from filiera.project.upkeep.retention import DAY_S, Retention
from tests.cli.command import copied
from tests.cli.conftest import Ask


@pytest.fixture
def own(two: Path, tmp_path: Path) -> Path:
    """Return a copy of the shop that a test may change."""
    return copied(two, tmp_path / "own")


def test_it_says_what_each_input_is_worth(own: Path, ask: Ask) -> None:
    """By the metric of the first gate, with bars; then it is in the card."""
    assert "Importance for" not in ask("card", "spender@3", cwd=own).out
    text = ask("importance", "spender@3", cwd=own).out
    assert (
        text.startswith("spender@3: accuracy is ")
        and "on 300 rows" in text
        and "(5 times, seed 0), it falls by:" in text
    )
    rows = {line.split()[0]: line for line in text.splitlines() if "matters" in line}
    assert set(rows) == {"pieces", "price"} and all("█" in line for line in rows.values())
    assert "## Importance for accuracy" in ask("card", "spender@3", cwd=own).out
    assert "Importance for" not in ask("card", "spender@2", cwd=own).out


def test_asked_twice_it_is_found_once(own: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a clean-up, as long as there is the version; asked in another way it is found anew."""
    first = ask("importance", "spender@3", "--json", cwd=own).data
    assert first["model"] == "spender@3" and first["baseline"]["name"] == first["how"]["metric"] == "accuracy"
    project = Project.open(own)
    later = project.clock() + 400 * DAY_S
    project.clock = lambda: later
    collect(project, Retention(keep_days=0, keep_runs=0), dry_run=False, tell=lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr("filiera.model.importance.permuted", None)
        assert ask("importance", "spender@3", "--metric", "accuracy", "--json", cwd=own).data == first
    other = ask("importance", "spender@3", "--seed", "1", "--group", "pieces, price", "--json", cwd=own).data
    assert [one["columns"] for one in other["inputs"]] == [["pieces", "price"]]
    version = project.versions.get("model", ProductRef("spender", "3"))
    assert len(kept_importances(project, version)) == 2
    project.close()


def test_what_was_found_of_a_forgotten_version_goes_with_it(own: Path, ask: Ask) -> None:
    """Once nothing else is its model on its rows."""
    ask("importance", "spender@2", cwd=own)
    project = Project.open(own)
    version = project.versions.get("model", ProductRef("spender", "2"))
    later = project.clock() + 400 * DAY_S
    project.clock = lambda: later
    key = importance_key(version.artifact, version.attachments["evaluation"])
    assert len(kept_importances(project, version)) == 1
    drop_version(project, ProductRef("spender", "2"))
    collect(project, Retention(keep_days=0, keep_runs=0), dry_run=False, tell=lambda _: None)
    assert project.records.read("try_cache_entry", {"key": key}) == []
    project.close()


def test_it_is_a_page(two: Path, ask: Ask, tmp_path: Path) -> None:
    """With a table and a drawing; what cannot be written is told."""
    file = tmp_path / "importance.html"
    assert ask("importance", "spender@3", "--metric", "roc_auc", "--html", str(file), cwd=two).code == 0
    page = file.read_text()
    assert "<title>spender@3</title>" in page and "<h2>Importance for roc_auc</h2>" in page and "<svg" in page
    no = str(tmp_path / "no" / "importance.html")
    ask("importance", "spender@3", "--html", no, cwd=two).said(2, "cannot be written")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["spender@1"], "kept no rows, only metrics"),
        (["spender@3", "--metric", "f1"], "cannot be measured by 'f1'"),
        (["spender@3", "--group", "price,colour"], "There is no input 'colour'"),
        (["spender@3", "--group", ","], "A group of no columns"),
        (["spender@3", "--repeats", "0"], "--repeats takes 1 or more"),
        (["spender@3", "--seed", "-1"], "--seed takes 0 or more"),
        (["orders@1"], "There is no model orders@1"),
    ],
)
def test_what_cannot_be_asked_is_refused(two: Path, ask: Ask, words: list[str], said: str) -> None:
    """With what to do instead."""
    ask("importance", *words, cwd=two).said(2, said)


def test_what_is_lost_is_told(own: Path, ask: Ask) -> None:
    """Without the rows or the records of the run it cannot be found."""
    with closing(sqlite3.connect(own / ".filiera" / "records.sqlite")) as records, records:
        records.execute("DELETE FROM step_run WHERE run_id = 'train-3'")
    ask("importance", "spender@3", cwd=own).said(5, "The records of train-3", "are gone", "filiera run train")
    shutil.rmtree(own / ".filiera" / "blobs")
    ask("importance", "spender@2", cwd=own).said(5, "is not in the store", "filiera run train")
