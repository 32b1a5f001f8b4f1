"""Checks that look beside the table: at other datasets, at the version before, at the clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from filiera.errors import UsageError
from tests.projects import SmallProject

pytest.importorskip("polars")

SHOP = """
    from datetime import datetime, timedelta

    import polars as pl

    from filiera import Check, Dataset, pipeline, step


    @step
    def artist_rows(rows: int) -> pl.DataFrame:
        return pl.DataFrame({"id": range(rows)})

    @step
    def album_rows(rows: int, greatest: int) -> pl.LazyFrame:
        return pl.LazyFrame({"artist": [0, greatest] * rows})

    @step
    def times(day: str) -> pl.DataFrame:
        return pl.DataFrame({"at": [datetime.fromisoformat(day)]})

    @pipeline(kind="data", publishes=Dataset("artists"))
    def artists(rows: int = 10):
        return artist_rows(rows)

    KEY = Check.foreign_key("artist", "artists@latest", "id", severity="quarantine")

    @pipeline(kind="data", publishes=Dataset("albums", checks=[KEY, Check.rows_near(within=0.5)]))
    def albums(rows: int = 4, greatest: int = 9):
        return album_rows(rows, greatest)

    @step
    def lazily(artists: pl.LazyFrame) -> pl.LazyFrame:
        return artists

    NEW = Check.not_null("id", severity="quarantine")

    @pipeline(kind="data", publishes=Dataset("again", checks=[NEW]))
    def again(rows: int = 10):
        return lazily(artist_rows(rows))

    @pipeline(kind="data", publishes=Dataset("events", checks=[Check.fresh("at", timedelta(days=2))]))
    def events(day: str = "2000-01-01"):
        return times(day)
"""


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, {"flows.py": SHOP}, executor="processes")


def test_rows_without_a_partner_in_another_dataset_are_set_aside(project: SmallProject) -> None:
    """The version looked at is an input of the run; a newer one is looked at the next time."""
    with pytest.raises(UsageError, match="There is no dataset artists@latest"):
        project.run("albums")
    project.run("artists")
    run = project.run("albums")
    assert run.state.status == "succeeded"
    assert run.value("publish").height == 8
    project.run("artists", rows=5)
    again = project.run("albums")
    assert again.value("publish").height == 4
    assert again.value("validate", 3)["_rule"].to_list() == ["artist among those of artists@latest (id)"] * 4


def test_the_version_before_is_looked_at(project: SmallProject) -> None:
    """The first version passes; then the number of rows may not leap; the same again is a hit."""
    project.run("artists")
    assert [project.run("albums").state.status for _ in range(2)] == ["succeeded"] * 2
    assert project.run("albums").state.steps["validate"].status == "hit"
    leap = project.run("albums", rows=40)
    assert leap.state.status == "rejected"
    assert "the table has 80 rows, the version before 8 (+900.0%)" in str(leap.state.steps["validate"])


def test_freshness_is_judged_anew_each_time(project: SmallProject) -> None:
    """What was fresh when it was checked need not be now: that is never taken from the cache."""
    assert project.run("events").state.status == "rejected"
    for _ in range(2):
        run = project.run("events", day="2999-01-01")
        assert run.state.steps["validate"].status == "succeeded"


def test_a_query_publishes_what_a_table_does(project: SmallProject) -> None:
    """Rows have one digest, whether they were in memory or not, and whether rows could have been set aside."""
    published = [project.run(name).state.steps["publish"].outputs[0] for name in ("artists", "again")]
    assert published[0].digest == published[1].digest
