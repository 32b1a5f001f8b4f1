"""What can be written to an entry of the catalog is read back by it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from filiera.core.collected import Collected
from filiera.data.writing import write_table
from filiera.errors import UsageError
from filiera.project.plugins import source_reader
from filiera.project.sinks import KINDS, sink
from tests.projects import SmallProject

TOML = """
    [project]
    name = "small"

    [catalog.out]
    type = "{kind}"
    path = "{path}"
    {more}
"""


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_to_an_entry_is_what_it_reads(tmp_path: Path, kind: str) -> None:
    """An entry is a source and a sink alike."""
    small = SmallProject(tmp_path, {"filiera.toml": TOML.format(kind=kind, path="out.x", more="")})
    table = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    with small.opened() as project:
        found = sink(project, "out")
        assert found == (tmp_path / "out.x", kind)
        write_table(table.lazy(), found[0], kind=found[1])
        entry = project.config.entry("out")
        read = source_reader(kind).read(entry, tmp_path, Collected(entry=entry)).collect()
        assert sink(project, "elsewhere") is None
    assert read.equals(table)


@pytest.mark.parametrize(
    ("kind", "path", "more"),
    [("files", "x", ""), ("csv", "in/*.csv", ""), ("csv", "s3://shop/a.csv", ""), ("csv", "a.csv", "separator = ';'")],
)
def test_entries_that_only_read_are_refused(tmp_path: Path, kind: str, path: str, more: str) -> None:
    """A pattern, a store, or options that we do not write with are told."""
    small = SmallProject(tmp_path, {"filiera.toml": TOML.format(kind=kind, path=path, more=more)})
    with small.opened() as project, pytest.raises(UsageError, match="Nothing can be written to the catalog's out"):
        sink(project, "out")
