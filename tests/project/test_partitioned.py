"""A dataset in partitions: a run computes those that are new or changed, and a version has them all as one table."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from filiera.cli.main import main
from filiera.core.products import ProductRef
from filiera.errors import GraphError, UsageError
from filiera.project.partitioned import with_partitions
from filiera.project.runs import Run
from tests.projects import SmallProject

pl = pytest.importorskip("polars")

FLOWS = """
    import datetime as dt
    from pathlib import Path

    import polars as pl

    from filiera import Dataset, Source, pipeline, step


    @step(stage="transform")
    def of_day(day: dt.date, factor: int) -> pl.DataFrame:
        return pl.DataFrame({"day": [day] * 2, "x": [day.day * factor, 0]})


    @pipeline(kind="data", publishes=Dataset("daily", partitions="days"))
    def daily(days: list[dt.date], factor: int = 1):
        return of_day.map(days, factor=factor)


    @step(stage="collect")
    def by_day(raw: pl.DataFrame) -> list[pl.DataFrame]:
        return raw.sort("day").partition_by("day", maintain_order=True)


    @step(stage="transform")
    def doubled(part: pl.DataFrame) -> pl.DataFrame:
        return part.with_columns(x=pl.col("x") * 2)


    @pipeline(kind="data", publishes=Dataset("split"))
    def split(raw: pl.DataFrame = Source("raw")):
        return doubled.map(by_day(raw))


    @step(stage="clean")
    def consume(table: pl.LazyFrame) -> int:
        return table.select(pl.len()).collect().item()


    @pipeline(kind="data")
    def use(table: pl.LazyFrame = Dataset("daily")):
        return consume(table)


    @step
    def odd(day: int) -> pl.DataFrame:
        return pl.DataFrame({"a" if day < 2 else "b": [day]})


    @pipeline(kind="data", publishes=Dataset("odd", partitions="days"))
    def odds(days: list[int]):
        return odd.map(days)


    @pipeline(kind="data", publishes=Dataset("wrong", partitions="dayz"))
    def wrong(days: list[int]):
        return odd.map(days)
"""
RAW = "day,x\n1,10\n1,11\n2,20\n"


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    project = SmallProject(tmp_path, {"flows.py": FLOWS, "raw.csv": RAW})
    project.write(
        {"filiera.toml": (tmp_path / "filiera.toml").read_text() + '\n[catalog.raw]\ntype = "csv"\npath = "raw.csv"\n'}
    )
    return project


def run(project: SmallProject, pipeline: str, *, asked: str = "", backfill: str = "", **values: Any) -> Run:
    with project.opened() as opened:
        values = with_partitions(opened.versions, opened.pipeline(pipeline), values, asked=asked, backfill=backfill)
    return project.run(pipeline, **values).require_success()


def table(project: SmallProject, name: str) -> Any:
    with project.opened() as opened:
        return opened.value(opened.versions.get("dataset", ProductRef(name)).artifact)


def ran(done: Run) -> list[str]:
    """Return the mapped calls that were computed."""
    return sorted(name for name, step in done.state.steps.items() if step.status == "succeeded" and name[-1] == "]")


def test_only_new_partitions_are_computed(project: SmallProject) -> None:
    """What the newest version has comes from the cache; what is asked for is added, in order."""
    first = run(project, "daily", backfill="2026-01-01..2026-01-03")
    assert ran(first) == ["of_day[0]", "of_day[1]", "of_day[2]"]
    second = run(project, "daily", asked="2026-01-05,2025-12-31")
    assert ran(second) == ["of_day[0]", "of_day[4]"]
    assert table(project, "daily")["x"].to_list() == [31, 0, 1, 0, 2, 0, 3, 0, 5, 0]
    assert second.version is not None
    assert second.version.description["partitions"][0] == "2025-12-31"
    assert project.run("use").value("consume") == 10


def test_without_a_wish_all_known_partitions_are_made(project: SmallProject) -> None:
    """A plain run looks after what there is: nothing changed, nothing is computed; another parameter, all is."""
    run(project, "daily", asked="2026-01-01,2026-01-02")
    again = run(project, "daily")
    assert (ran(again), again.is_new_version) == ([], False)
    assert len(ran(run(project, "daily", factor=2))) == 2


def test_how_partitions_came_does_not_matter(project: SmallProject) -> None:
    """The same partitions are the same table, added one by one or at once."""
    run(project, "daily", asked="2026-01-02")
    one = run(project, "daily", asked="2026-01-01")
    other = run(project, "daily", days=[dt.date(2026, 1, 1), dt.date(2026, 1, 2)])
    assert one.version is not None
    assert other.version == one.version


def test_partitions_by_a_column_are_told_by_their_rows(project: SmallProject) -> None:
    """A step divides the table; a part whose rows did not change is not computed again."""
    assert len(ran(run(project, "split"))) == 2
    project.write({"raw.csv": RAW + "2,21\n3,30\n"})
    assert ran(run(project, "split")) == ["doubled[1]", "doubled[2]"]
    assert table(project, "split")["x"].to_list() == [20, 22, 40, 42, 60]


def test_parts_must_have_the_same_columns(project: SmallProject) -> None:
    """The part and the column are named, and nothing is published."""
    done = project.run("odds", days=[1, 2])
    assert (done.status, done.version) == ("failed", None)
    failure = done.state.steps["validate"].failure
    assert failure is not None
    assert "Part 1 has other columns" in failure.message
    assert "Column 'a' is missing" in failure.message


def test_without_partitions_there_is_none_to_ask_for(project: SmallProject) -> None:
    """Options that mean nothing are refused, and so is a list that the pipeline does not take."""
    for pipeline, options, said in (
        ("split", {"asked": "1"}, "makes no partitions"),
        ("odds", {"backfill": "1"}, r"FIRST\.\.LAST"),
        ("odds", {"backfill": "a..b"}, "takes"),
        ("odds", {"asked": "1", "days": [2]}, "names all partitions"),
    ):
        with pytest.raises(UsageError, match=said):
            run(project, pipeline, **options)
    with pytest.raises(GraphError, match="does not take 'dayz'"):
        run(project, "wrong")
    with pytest.raises(UsageError, match="needs --days"):
        run(project, "odds")


def test_the_command_takes_partitions(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--backfill`` and ``--partition`` of run and plan; the version lists what it has."""
    monkeypatch.chdir(project.root)
    monkeypatch.syspath_prepend(project.root)  # which takes it off the path in the end
    assert main(["run", "odds", "--backfill", "3..4"]) == 0
    assert main(["plan", "odds", "--partition", "7"]) == 0
    assert main(["run", "odds", "--partition", "7"]) == 0
    assert main(["show", "odd@2"]) == 0
    assert "partitions  3; 4; 7" in capsys.readouterr().out
    assert main(["run", "odds", "split", "--partition", "7"]) == 2
