"""Collecting is recorded, and a collection that fails half-way publishes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.io.plugins import register_io_source

from filiera.core.collected import Collected
from filiera.core.products import ProductRef
from filiera.errors import SourceError
from filiera.project import plugins
from filiera.project.collecting import collected_before, collected_by_run, collected_for
from tests.projects import SmallProject

FLOWS = """
    import polars as pl
    from filiera import Dataset, Source, pipeline, step

    @step(stage="clean")
    def keep(raw: pl.DataFrame) -> pl.DataFrame:
        return raw

    @pipeline(kind="data", publishes=Dataset("orders"))
    def orders(raw: pl.DataFrame = Source("shop")):
        return keep(raw)
"""
CATALOG = """
    [project]
    name = "small"

    [catalog.shop]
    type = "{type}"
    path = "shop.csv"

    [profile.local]
    executor = "inline"
"""


class BatchReader:
    """Reads numbers from a file, one batch per line, as a source does that is larger than memory."""

    between: Callable[[Path, int], None] = staticmethod(lambda path, number: None)

    def check(self, entry: Mapping[str, Any]) -> None:
        """Accept all entries."""

    def fingerprint(self, entry: Mapping[str, Any], root: Path) -> str:
        """Return what the file holds."""
        return (root / entry["path"]).read_text()

    def read(self, entry: Mapping[str, Any], root: Path, collected: Collected) -> pl.LazyFrame:
        """Return a query over the lines."""
        path = root / entry["path"]
        collected.place = str(path)

        def batches(*_: Any) -> Iterator[pl.DataFrame]:
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                type(self).between(path, number)
                collected.size_bytes += len(line) + 1
                collected.more["last"] = line
                yield pl.DataFrame({"number": [int(line)]})

        return register_io_source(batches, schema={"number": pl.Int64})


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallProject:
    monkeypatch.setitem(plugins._SOURCES, "batches", f"{__name__}:BatchReader")  # type: ignore[index]
    return SmallProject(tmp_path, {"flows.py": FLOWS, "filiera.toml": CATALOG.format(type="batches")})


def published(small: SmallProject, number: int = 1) -> dict[str, Collected]:
    with small.opened() as project:
        return collected_for(project, project.versions.get("dataset", ProductRef("orders", str(number))))


def test_what_was_collected_is_kept_with_run_and_version(small: SmallProject) -> None:
    """What was asked, from where, when, how much, and what the source had to add are in the records."""
    small.write({"shop.csv": "1\n22\n"})
    run = small.run("orders")
    assert run.status == "succeeded"
    (collected,) = published(small).values()
    assert dict(collected.entry) == {"type": "batches", "path": "shop.csv"}
    assert collected.place == str(small.root / "shop.csv")
    assert (collected.rows, collected.size_bytes, collected.more) == (2, 5, {"last": "22"})
    assert collected.fingerprint == "1\n22\n"
    assert collected.at > 1.7e9
    with small.opened() as project:
        assert collected_by_run(project, run.run_id)["shop"][0] == collected


def test_a_changed_source_is_seen(small: SmallProject) -> None:
    """Two collections can be compared: the one before is found, though a run that collected nothing anew is between."""
    small.write({"shop.csv": "1\n"})
    small.run("orders")
    small.run("orders")
    small.write({"shop.csv": "1\n2\n"})
    small.run("orders")
    with small.opened() as project:
        rows = [project.records.read("get_run", {"run_id": f"orders-{number}"})[0] for number in (1, 2, 3)]
        found = [collected_before(project, row, "shop") for row in rows]
    assert found[0] is None
    assert [(run, one.rows) for run, one in filter(None, found)] == [("orders-1", 1), ("orders-2", 1)]
    assert published(small, 2)["shop"].rows == 2


def test_a_source_that_is_written_anew_with_the_same_rows_makes_no_version(small: SmallProject) -> None:
    """The run says which version it is still; that it was collected again is recorded with the run."""
    small.write({"shop.csv": "1\n22\n"})
    first = small.run("orders")
    small.write({"shop.csv": "01\n22\n"})
    again = small.run("orders")
    assert (first.is_new_version, again.is_new_version) == (True, False)
    assert again.version is not None
    assert again.version.ref == "orders@1"
    with small.opened() as project:
        found = [collected_by_run(project, run.run_id)["shop"][0].fingerprint for run in (first, again)]
    assert found == ["1\n22\n", "01\n22\n"]
    assert [one.fingerprint for one in published(small).values()] == ["1\n22\n"]
    small.write({"shop.csv": "1\n23\n"})
    changed = small.run("orders")
    assert changed.version is not None
    assert (changed.is_new_version, changed.version.ref) == (True, "orders@2")


@pytest.mark.parametrize(
    ("content", "between", "said"),
    [
        ("1\nx\n", lambda path, number: None, "invalid literal"),
        ("", lambda path, number: None, "has no rows"),
        ("1\n2\n", lambda path, number: path.write_text("1\n3\n"), "changed while it was read"),
        ("1\n2\n", lambda path, number: path.unlink(), "broke off after 1 rows"),
    ],
    ids=["broken", "empty", "changed", "gone"],
)
def test_a_collection_that_fails_half_way_publishes_nothing(
    small: SmallProject, monkeypatch: pytest.MonkeyPatch, content: str, between: Any, said: str
) -> None:
    """What goes wrong after the first batch was stored is the step's failure; no value and no version is there."""
    small.write({"shop.csv": content})
    monkeypatch.setattr(BatchReader, "between", staticmethod(between))
    run = small.run("orders")
    failure = run.state.steps["collect-shop"].failure
    assert failure is not None
    assert said in failure.message
    assert run.status == "failed"
    with small.opened() as project:
        assert project.versions.find() == []
        assert collected_by_run(project, run.run_id) == {}
        assert list(project.blobs.scratch().iterdir()) == []


def test_a_source_error_in_a_query_is_not_the_codecs(small: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that names the place in the source reaches people as it is."""

    def broken(path: Path, number: int) -> None:
        if number == 2:
            raise SourceError(f"{path}: line 2 is broken.", do="Mend it.")

    small.write({"shop.csv": "1\n2\n"})
    monkeypatch.setattr(BatchReader, "between", staticmethod(broken))
    failure = small.run("orders").state.steps["collect-shop"].failure
    assert failure is not None
    assert (failure.kind, failure.error) == ("raised", "SourceError")
    assert failure.message.endswith("line 2 is broken.\nDo:  Mend it.")


def test_a_table_in_memory_is_counted_too(small: SmallProject) -> None:
    """A reader may return a frame: its rows are those of the record."""
    small.write({"shop.csv": "a,b\n1,x\n2,y\n", "filiera.toml": CATALOG.format(type="csv")})
    small.run("orders")
    collected = published(small)["shop"]
    assert (collected.rows, collected.files, collected.size_bytes) == (2, 1, 12)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "arrow"])
def test_a_file_that_vanishes_or_shrinks_mid_read_is_no_version(
    small: SmallProject, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What happens to the file after it was found sound is the step's failure, in words."""
    small.write({"filiera.toml": CATALOG.format(type=kind)})
    frame, file = pl.DataFrame({"a": list(range(50_000))}), small.root / "shop.csv"
    write = {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}.get(kind)
    reader = plugins.source_reader(kind)
    sound = type(reader).read

    def spoilt(self: Any, entry: Any, root: Path, collected: Collected) -> Any:
        query = sound(self, entry, root, collected)
        spoil(file)
        return query

    monkeypatch.setattr(type(reader), "read", spoilt)
    for spoil in (Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:1000])):  # noqa: B007  spoilt has it
        (write or frame.write_ipc)(file)
        run = small.run("orders")
        failure = run.state.steps["collect-shop"].failure
        assert failure is not None
        assert failure.error == "SourceError", failure
    with small.opened() as project:
        assert project.versions.find() == []
