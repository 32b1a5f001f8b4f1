"""What can be written to an entry of the catalog is read back by it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from filiera.core.collected import Collected
from filiera.errors import SourceError, UsageError
from filiera.project.plugins import source_reader
from filiera.project.sinks import KINDS, FileSink, sink
from filiera.project.tables import NamedTable
from tests.projects import SmallProject

TOML = """
    [project]
    name = "small"

    [catalog.out]
    type = "{kind}"
    path = "{path}"
    {more}
"""


def named(table: pl.DataFrame) -> NamedTable:
    return NamedTable(name="t", frame=table.lazy())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_to_an_entry_is_what_it_reads(tmp_path: Path, kind: str) -> None:
    """An entry is a source and a sink alike."""
    small = SmallProject(tmp_path, {"filiera.toml": TOML.format(kind=kind, path="out.x", more="")})
    table = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    with small.opened() as project:
        found = sink(project, "out")
        assert found == FileSink(path=tmp_path / "out.x", kind=kind)
        found.write(named(table))
        entry = project.config.entry("out")
        read = source_reader(kind).read(entry, tmp_path, Collected(entry=entry)).collect()
    assert read.equals(table)


def test_a_name_that_the_catalog_has_not_is_a_file(tmp_path: Path) -> None:
    """By its ending, or a folder by its slash."""
    with SmallProject(tmp_path, {}).opened() as project:
        assert sink(project, "a.ndjson") == FileSink(path=Path("a.ndjson"), kind="jsonl")
        assert sink(project, "a/", by="day") == FileSink(path=Path("a"), kind="folder", by="day")
        with pytest.raises(UsageError, match="elsewhere is no entry of the catalog, and has no ending"):
            sink(project, "elsewhere")


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_table_of_a_database_is_a_sink(tmp_path: Path, kind: str) -> None:
    """All of it or nothing, and one that is there only when that is asked for."""
    if kind == "duckdb":
        pytest.importorskip("duckdb")
    entry = f'type = "sql"\nuri = "{kind}:shop.db"\ntable = "Sold"'
    small = SmallProject(tmp_path, {"filiera.toml": f'[project]\nname = "small"\n[catalog.out]\n{entry}'})
    with small.opened() as project:
        found = sink(project, "out")
        assert found.write(named(pl.DataFrame({"a": [1, 2]}))) == (2, "rows")
        with pytest.raises(SourceError, match=f"Cannot write {kind}:shop"):
            found.write(named(pl.DataFrame({"b": [1]})))
        assert found.write(named(pl.DataFrame({"b": [3]})), replace=True) == (1, "rows")
        with pytest.raises(UsageError, match="cannot be divided"):
            sink(project, "out", by="a")
        written = project.config.entry("out")
        back = source_reader("sql").read(written, tmp_path, Collected(entry=written)).collect()
    assert back.rows(named=True) == [{"b": 3}]


@pytest.mark.parametrize(
    ("kind", "path", "more"),
    [
        ("files", "x", ""),
        ("csv", "in/*.csv", ""),
        ("csv", "s3://shop/a.csv", ""),
        ("csv", "a.csv", "separator = ';'"),
        ("sql", "sqlite:a", "query = 'SELECT 1'"),
        ("sql", "sqlite:a", "table = 'T'\n    filter = 'b > 1'"),
    ],
)
def test_entries_that_only_read_are_refused(tmp_path: Path, kind: str, path: str, more: str) -> None:
    """A pattern, a store, a query, or options that we do not write with are told."""
    toml = TOML.format(kind=kind, path=path, more=more)
    if kind == "sql":
        toml = toml.replace("path =", "uri =")
    small = SmallProject(tmp_path, {"filiera.toml": toml})
    with small.opened() as project, pytest.raises(UsageError, match="Nothing can be written to the catalog's out"):
        sink(project, "out")
