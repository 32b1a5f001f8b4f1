"""A table that was written is read back equal by what reads such files, and a failed write leaves nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from filiera.data import writing
from filiera.data.writing import write_table
from filiera.errors import StoreError, UsageError

TABLE = pl.DataFrame(
    {"n": [1, None, 3], "x": [0.5, float("inf"), None], "t": ["a", 'q"\n,', "ä"], "c": ["u", "v", "u"]}
)
READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "csv": pl.read_csv,
    "jsonl": pl.read_ndjson,
    "parquet": pl.read_parquet,
    "arrow": pl.read_ipc,
    "folder": pl.read_parquet,
}


@pytest.mark.parametrize("kind", READERS)
def test_what_is_written_is_read_back(kind: str, tmp_path: Path) -> None:
    """The same columns, types and rows in the same order."""
    table = TABLE.drop("x") if kind == "jsonl" else TABLE  # JSON has no infinity
    write_table(table.lazy(), tmp_path / "out", kind=kind)
    assert READERS[kind](tmp_path / "out").equals(table)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_divided_by_rows_and_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file has a bounded number of rows; by a column, each value has a folder."""
    monkeypatch.setattr(writing, "ROWS_PER_FILE", 2)
    write_table(TABLE.lazy(), tmp_path / "rows", kind="folder")
    assert pl.read_parquet(tmp_path / "rows").equals(TABLE)
    assert len(list((tmp_path / "rows").iterdir())) == 2
    write_table(TABLE.lazy(), tmp_path / "values", kind="folder", by="c")
    assert sorted(path.name for path in (tmp_path / "values").iterdir()) == ["c=u", "c=v"]
    assert pl.scan_parquet(tmp_path / "values").filter(pl.col("c") == "u").collect().height == 2


def test_a_delta_table_is_written(tmp_path: Path) -> None:
    """Delta Lake reads it."""
    deltalake = pytest.importorskip("deltalake")
    write_table(TABLE.lazy(), tmp_path / "out.delta", kind="delta")
    assert deltalake.DeltaTable(tmp_path / "out.delta").version() == 0
    assert pl.read_delta(str(tmp_path / "out.delta")).equals(TABLE)


@pytest.mark.parametrize(
    ("value", "kind"), [([1], "csv"), (b"a", "csv"), (b"a", "jsonl"), ({"a": b"a"}, "jsonl"), ({"a": 1}, "csv")]
)
def test_types_that_a_format_has_not_are_refused(value: object, kind: str, tmp_path: Path) -> None:
    """The column is named, and nothing is written."""
    with pytest.raises(UsageError, match="Column 'x' cannot be written"):
        write_table(pl.LazyFrame({"x": [value]}), tmp_path / "out", kind=kind)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """A query that fails half-way, a folder that is not there, a target that is there."""
    for kind in ("csv", "folder"):
        with pytest.raises(StoreError, match="cannot be written"):
            write_table(TABLE.lazy().cast({"t": pl.Int64}), tmp_path / "out", kind=kind)
    with pytest.raises(UsageError, match="no folder"):
        write_table(TABLE.lazy(), tmp_path / "no" / "out", kind="csv")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        write_table(TABLE.lazy(), tmp_path / "out", kind="csv")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("kind", ["csv", "folder"])
def test_nothing_appears_after_a_failed_write(kind: str, tmp_path: Path) -> None:
    """Polars goes on to make files for a while after it has said that a query failed: here there are none to make."""
    for _ in range(50):
        with pytest.raises(StoreError, match="cannot be written"):
            write_table(TABLE.lazy().cast({"t": pl.Int64}), tmp_path / "out", kind=kind)
        assert list(tmp_path.iterdir()) == []


def test_only_a_folder_is_divided(tmp_path: Path) -> None:
    """By a column that it has."""
    with pytest.raises(UsageError, match="divided by 'c'"):
        write_table(TABLE.lazy(), tmp_path / "out", kind="csv", by="c")
    with pytest.raises(UsageError, match="The table has: n, x, t, c"):
        write_table(TABLE.lazy(), tmp_path / "out", kind="folder", by="odd")


def test_times_are_written_as_iso_8601(tmp_path: Path) -> None:
    """A date in CSV is one that other programs know."""
    write_table(pl.LazyFrame({"d": [dt.date(2026, 1, 2)]}), tmp_path / "out", kind="csv")
    assert (tmp_path / "out").read_text() == "d\n2026-01-02\n"
