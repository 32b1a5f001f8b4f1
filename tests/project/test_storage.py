"""Versions share the files of rows that are equal, in the store, in archives, and when one of them is let go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.codecs import table_chunks
from filiera.cli.main import main
from filiera.core.products import ProductRef
from filiera.data.diff import Table, diff_tables
from filiera.project import plugins
from filiera.project.storage import storage_of
from filiera.project.tables import find_table, rows_apart
from filiera.project.upkeep import exporting, garbage, importing
from filiera.project.upkeep.retention import Retention
from tests.projects import SmallProject

pl = pytest.importorskip("polars")

FLOWS = """
    import polars as pl

    from filiera import Check, Dataset, pipeline, step


    @step
    def rows(n: int, changed: int) -> pl.DataFrame:
        frame = pl.DataFrame({"id": range(n)})
        return frame.with_columns(x=pl.when(pl.col("id") == changed).then(-1).otherwise(pl.col("id") * 7))


    @pipeline(kind="data", publishes=Dataset("orders", checks=[Check.in_range("x", 0, severity="warn")]))
    def orders(n: int = 400, changed: int = -1):
        return rows(n, changed)
"""


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallProject]:
    """Return a project with orders@1 in many chunks, and orders@2 in which one row is another."""
    for name, value in (("LEAST_ROWS", 4), ("MOST_ROWS", 40), ("CUT_MASK", 7)):
        monkeypatch.setattr(table_chunks, name, value)
    project = SmallProject(tmp_path / "here", {"flows.py": FLOWS})
    project.run("orders").require_success()
    project.run("orders", changed=200).require_success()
    yield project


def blobs(project: SmallProject, selector: str) -> set[str]:
    with project.opened() as opened:
        version = opened.versions.get("dataset", ProductRef("orders", selector))
        return set(plugins.blobs_of(version.artifact, opened.blobs.get))


def table(project: SmallProject, selector: str = "2") -> Any:
    with project.opened() as opened:
        return opened.value(opened.versions.get("dataset", ProductRef("orders", selector)).artifact)


def test_a_version_shares_what_did_not_change(orders: SmallProject) -> None:
    """Only the chunk with the row that changed is new, and it is told how much that is."""
    first, second = blobs(orders, "1"), blobs(orders, "2")
    assert len(first) > 20
    assert len(second - first) <= 3
    with orders.opened() as opened:
        found = storage_of(opened, opened.versions.get("dataset", ProductRef("orders", "2")))
        assert found is not None
        assert (found.before, found.files) == ("orders@1", len(second))
        assert 0.8 < found.shared_bytes / found.size_bytes < 1


def test_show_says_how_a_version_is_stored(
    orders: SmallProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its files, what they share, and the checks that failed without stopping it."""
    monkeypatch.chdir(orders.root)
    assert main(["show", "orders@2"]) == 0
    out = capsys.readouterr().out
    assert "% of it stored already with orders@1" in out
    assert "warn: x in 0..: 1 of 400 rows" in out
    assert main(["show", "orders@2", "--open", "orders.parquet"]) == 0
    assert pl.read_parquet(orders.root / "orders.parquet").equals(table(orders))


def test_chunks_go_with_the_last_version_that_has_them(orders: SmallProject) -> None:
    """Clean-up takes the files that only the dropped version had, and leaves those that another one has."""
    only_first = blobs(orders, "1") - blobs(orders, "2")
    kept = table(orders)
    with orders.opened() as opened:
        garbage.drop_version(opened, ProductRef("orders", "1"))
        opened.clock = lambda: 1e11  # all runs are old; the disk's time is what it is
        old = Retention(keep_days=0, keep_runs=1)
        for digest, _, _ in list(opened.blobs.blobs()):
            _make_old(opened.blobs.path(digest))
        garbage.collect(opened, old, dry_run=False, tell=lambda line: None)
        assert not any(map(opened.blobs.has, only_first))
    assert table(orders).equals(kept)


def _make_old(file: Path) -> None:
    import os

    os.utime(file, (1, 1))


def test_an_archive_has_all_chunks(orders: SmallProject, tmp_path: Path) -> None:
    """A version that was moved to another store is the same table there."""
    with orders.opened() as opened:
        exporting.export_runs(opened, ["orders-2"], tmp_path / "a.filiera", tell=lambda line: None)
    other = SmallProject(tmp_path / "there", {"flows.py": FLOWS})
    with other.opened() as opened:
        importing.import_runs(opened, tmp_path / "a.filiera", products=True, tell=lambda line: None)
    assert table(other, "1").equals(table(orders))


def test_a_lost_chunk_is_made_again(orders: SmallProject) -> None:
    """The version is not there without all its files; the run that made it puts the missing one back."""
    expected = table(orders)
    lost = sorted(blobs(orders, "2"))[0]
    with orders.opened() as opened:
        version = opened.versions.get("dataset", ProductRef("orders", "2"))
        opened.blobs.delete(lost)
        assert not opened.holds(version.artifact)
    again = orders.run("orders", changed=200).require_success()
    assert again.version == version
    assert table(orders).equals(expected)


@pytest.mark.parametrize("keys", [[], ["id"]])
def test_only_what_is_not_shared_is_compared(orders: SmallProject, keys: list[str]) -> None:
    """The files of one version alone have all that differs: less is read, and the difference is the same."""
    with orders.opened() as opened:
        before, after = find_table(opened, "orders@1"), find_table(opened, "orders@2")
        own = rows_apart(opened, before, after)
        assert own is not None
        assert 0 < own[0].collect().height < 120
        short = diff_tables(
            Table(name="1", frame=before.frame, own=own[0]), Table(name="2", frame=after.frame, own=own[1]), keys=keys
        )
        long = diff_tables(Table(name="1", frame=before.frame), Table(name="2", frame=after.frame), keys=keys)
        assert short == long
        same = rows_apart(opened, after, after)
        assert same is not None
        assert [rows.collect().height for rows in same] == [0, 0]
