"""Tables that need not fit into memory: steps that take and return queries."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.errors import GraphError
from tests.projects import SmallProject

pytest.importorskip("polars")

FLOWS = """
    import polars as pl

    from filiera import Dataset, pipeline, step


    @step
    def numbers(rows: int) -> pl.LazyFrame:
        return pl.LazyFrame({"n": [0]}).select(n=pl.int_range(rows)).with_columns(third=pl.col("n") % 3)

    @step
    def thirds(table: pl.LazyFrame) -> pl.LazyFrame:
        assert isinstance(table, pl.LazyFrame), type(table)
        return table.filter(pl.col("third") == 1)

    @step
    def as_it_is(table: pl.LazyFrame, wide: bool) -> pl.LazyFrame:
        return table.with_columns(fourth=pl.lit(4)) if wide else table

    @step
    def count(table: pl.DataFrame) -> int:
        assert isinstance(table, pl.DataFrame), type(table)
        return table.height

    @step
    def in_memory(rows: int) -> pl.DataFrame:
        return pl.DataFrame({"n": range(rows), "third": [1] * rows})

    @step
    def bad(table: pl.LazyFrame) -> pl.LazyFrame:
        return table.select("fourth")

    @step
    def text(rows: int) -> str:
        return "x" * rows

    @pipeline(kind="data")
    def large(rows: int = 300_000):
        return count(thirds(numbers(rows)))

    @pipeline(kind="data")
    def small(rows: int = 4):
        return count(thirds(in_memory(rows)))

    @pipeline(kind="data", publishes=Dataset("thirds"))
    def handed_on(rows: int = 300_000, wide: bool = False):
        return as_it_is(thirds(numbers(rows)), wide)

    @pipeline(kind="data", publishes=Dataset("small"))
    def from_memory(rows: int = 4):
        return as_it_is(in_memory(rows), False)

    @pipeline(kind="data")
    def broken(rows: int = 4):
        return bad(in_memory(rows))

    @pipeline(kind="data")
    def wrong(rows: int = 4):
        return thirds(text(rows))
"""


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, {"flows.py": FLOWS}, executor="processes")


def test_queries_are_stored_as_tables(project: SmallProject) -> None:
    """A step returns a query, which is run when it is stored; who asks for a query gets one."""
    large, small = project.run("large"), project.run("small")
    assert (large.value("count"), small.value("count")) == (100_000, 4)
    codecs = {name: large.state.steps[name].outputs[0].codec for name in ("numbers", "thirds")}
    assert codecs == {"numbers": "table/1", "thirds": "table/1"}
    assert small.state.steps["in_memory"].outputs[0].codec == "arrow-ipc/1"
    assert [step.status for step in project.run("large").state.steps.values()] == ["hit"] * 3


def test_a_query_that_is_handed_on_is_not_stored_again(project: SmallProject) -> None:
    """The step that returns its input, and the one that publishes it, name what is there: nothing is encoded twice."""
    run = project.run("handed_on")
    refs = [run.state.steps[name].outputs[0] for name in ("thirds", "as_it_is", "publish")]
    assert refs == refs[:1] * 3
    assert run.version is not None
    assert run.version.description["rows"] == 100_000
    changed = project.run("handed_on", wide=True).state.steps
    assert changed["as_it_is"].outputs[0] != refs[0]
    assert changed["publish"].outputs[0] == changed["as_it_is"].outputs[0]


def test_a_table_of_another_codec_is_stored_as_queries_are(project: SmallProject) -> None:
    """A step takes what another had in memory, and returns it: what it returns is a query all the same."""
    run = project.run("from_memory")
    codecs = [run.state.steps[name].outputs[0].codec for name in ("in_memory", "as_it_is", "publish")]
    assert codecs == ["arrow-ipc/1", "table/1", "table/1"]


def test_a_query_that_fails_is_the_steps_failure(project: SmallProject) -> None:
    """Polars says what is wrong, we say where."""
    failure = project.run("broken").state.steps["bad"].failure
    assert failure is not None
    assert "The query that the step returned failed when it was run." in failure.message
    assert "fourth" in failure.message


def test_what_is_no_table_does_not_fit(project: SmallProject) -> None:
    """The graph is refused before anything runs."""
    with pytest.raises(GraphError, match=r"polars\.LazyFrame"):
        project.run("wrong")
