"""The steps that every pipeline gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from filiera.core.check import Check
from filiera.core.digest import blob_digest
from filiera.core.files import Files, Place, Stretch
from filiera.core.gate import Gate
from filiera.core.metric import Metric, Metrics
from filiera.errors import ProjectError, SourceError
from filiera.project import builtin, surroundings
from filiera.project.plugins import source_reader

TABLE = pl.DataFrame({"a": [1, 2, None], "kind": ["x", "y", "x"]})


@pytest.fixture
def root(tmp_path: Path) -> Any:
    former = surroundings.project_root()
    surroundings.set_project_root(tmp_path)
    yield tmp_path
    surroundings.set_project_root(former)


def metrics(value: float) -> Metrics:
    metric = Metric(name="f1", value=value, low=value - 0.01, high=value + 0.01, n=100, method="bootstrap")
    return Metrics((metric,), task="classification")


def test_a_source_is_collected(root: Path) -> None:
    """A catalog entry is read as its type says, relative to the project."""
    (root / "a.csv").write_text("a,b\n1,x\n")
    entry = builtin.checked_entry({"type": "csv", "path": "a.csv"})
    fingerprint = source_reader("csv").fingerprint(entry, root)
    value, collected = builtin.collect(entry, fingerprint)
    assert value.lazy().collect().rows() == [(1, "x")]
    assert (collected.entry, collected.fingerprint, collected.rows) == (entry, fingerprint, 1)


def test_a_source_that_changed_since_planning_is_refused(root: Path) -> None:
    """What is read must be what the key says; a file that changed in between would be kept under a wrong key."""
    (root / "a.csv").write_text("a,b\n1,x\n")
    entry = {"type": "csv", "path": "a.csv"}
    fingerprint = source_reader("csv").fingerprint(entry, root)
    (root / "a.csv").write_text("a,b\n2,x\n")
    value, _ = builtin.collect(entry, fingerprint)
    with pytest.raises(SourceError, match=r"a\.csv changed while it was read"):
        value.collect()  # which is done when it is stored


def test_wrong_entries_are_refused(root: Path) -> None:
    """An entry of an unknown type, or with options that its type does not have, is an error of the project."""
    for entry in ({"type": "tape"}, {"type": "csv"}, {"type": "csv", "path": "a", "colour": "red"}):
        with pytest.raises(ProjectError):
            builtin.checked_entry(entry)


def test_checks_give_a_verdict_and_promises(capsys: pytest.CaptureFixture[str]) -> None:
    """Validation returns what was found, prints it, and says what blocking checks promise per column."""
    report, promised = builtin.validate(
        TABLE, (Check.not_null("a"), Check.in_range("a", 0, 9), Check.in_set("kind", "xy"))
    )
    assert report.blocks
    assert capsys.readouterr().out.splitlines() == [
        "1 of 3 checks failed (1 block)",
        "  block: a not null: 1 of 3 rows, first row 2: a = None",
    ]
    assert promised == {"a": (0, 9, None), "kind": (None, None, ("x", "y"))}
    assert not builtin.validate(TABLE.drop_nulls(), (Check.not_null("a"),))[0].blocks


def test_rows_are_set_aside() -> None:
    """Rows that break a quarantine check are taken out, and kept with the rule they broke."""
    report, _, kept, rejected = builtin.validate_with_quarantine(TABLE, (Check.not_null("a", severity="quarantine"),))
    assert not report.blocks
    assert (kept.collect().height, rejected.collect().height) == (2, 1)
    assert set(TABLE.columns) < set(rejected.collect_schema())


def test_a_dataset_is_described() -> None:
    """A version says how many rows it has, their columns, and how its checks went; any table is taken."""
    table = {"a": [1, None]}
    report, _ = builtin.validate(table, (Check.rows(at_least=1), Check.not_null("a", severity="warn")))
    query, description = builtin.publish_dataset(table, report)
    assert query.collect().rows() == [(1,), (None,)]
    assert description["rows"] == 2
    assert description["columns"] == {"a": "Int64"}
    assert (description["checks"]["passed"], description["checks"]["warn"]) == (1, 1)


def test_files_are_checked_by_their_table(tmp_path: Path) -> None:
    """Files keep their bytes; those that break a quarantine check join those that were set aside before."""
    digests = [blob_digest(b"%d" % i) for i in range(3)]
    table = pl.DataFrame({"digest": digests, "size_bytes": [1, 1, 9]})
    odd = table.head(1).with_columns(problem=pl.lit("is odd"))
    places = dict.fromkeys(digests, Place("p", 0, 1))
    files = Files(table.tail(2), rejected=odd, places=places, packs=lambda _: Stretch(tmp_path, 0, 1))
    small = Check.in_range("size_bytes", 0, 5, severity="quarantine")
    report, _, kept, rejected = builtin.validate_files(files, (small, Check.rows(at_least=1)))
    assert (report.blocks, len(kept)) == (False, 1)
    assert rejected["problem"].to_list() == ["is odd", small.name]
    near, *_ = builtin.validate_files(kept, (Check.rows_near(within=0),), {"": files})
    assert near.results[0].reason == "the table has 1 rows, the version before 2 (-50.0%)"
    published, description = builtin.publish_files(kept, report)
    assert published is kept
    assert (description["rows"], description["set aside"]) == (1, 2)


@pytest.mark.parametrize(("value", "champion", "blocks"), [(0.9, None, False), (0.4, None, True), (0.6, 0.9, True)])
def test_a_gate_tells_what_it_compared_with(
    capsys: pytest.CaptureFixture[str], value: float, champion: float | None, blocks: bool
) -> None:
    """The gate decides on the metrics, prints why, and hands on the rival, so that it can be known later."""
    gates = (Gate("f1", at_least=0.5), Gate("f1", not_worse_than="champion"))
    rival = None if champion is None else metrics(champion)
    report, told, _ = builtin.gate(gates, metrics(value), rival)
    assert (report.blocks, told) == (blocks, rival)
    assert capsys.readouterr().out.count("passed: ") == 2 - (value < 0.5) - (champion is not None)
