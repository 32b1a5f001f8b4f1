"""The traffic-forecasting template, run as a new user would find it: real data, plain functions."""

from __future__ import annotations

import hashlib
import runpy
import tomllib
from collections.abc import Iterator
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from filiera.adapters.sources.csv_file import CsvSource
from filiera.core.collected import Collected
from filiera.core.evaluation import Evaluation
from filiera.core.metric import Metrics
from filiera.data.checks import run_checks
from filiera.model.gates import decide
from tests.templates.imported import TEMPLATES, importable

TEMPLATE = TEMPLATES / "traffic_forecasting"
FILE = TEMPLATE / "data/metro_2012_2017h1.csv.gz"


@pytest.fixture(scope="module")
def project() -> Iterator[ModuleType | Any]:
    """Import the template's own packages, and forget them afterwards."""
    with importable(TEMPLATE):
        import flows
        from flows import data, model  # noqa: F401

        yield flows


@pytest.fixture(scope="module")
def raw() -> pl.DataFrame:
    entry = tomllib.loads((TEMPLATE / "filiera.toml").read_text(encoding="utf-8"))["catalog"]["raw_counts"]
    CsvSource().check(entry)
    return CsvSource().read(entry, TEMPLATE, Collected(entry=entry)).collect()


@pytest.fixture(scope="module")
def traffic(project: Any, raw: pl.DataFrame) -> pl.DataFrame:
    made: pl.DataFrame = project.data.features(project.data.hourly(raw))
    return made


@pytest.fixture(scope="module")
def found(project: Any, traffic: pl.DataFrame) -> Evaluation:
    train_rows, test_rows = project.model.split_traffic(traffic, test_days=365)
    forecaster = project.model.fit(train_rows, trees=40, learning_rate=0.2, seed=0)
    made: Evaluation = project.model.evaluate(forecaster, test_rows, traffic)
    return made


def test_data_is_the_cited_file(raw: pl.DataFrame) -> None:
    """The bytes are those whose origin, citation and terms stand beside them."""
    citation = (TEMPLATE / "data/CITATION.md").read_text(encoding="utf-8")
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() in citation
    assert "Hogue" in citation
    assert raw.shape == (34_987, 9)


def test_dataset_passes_its_checks(project: Any, traffic: pl.DataFrame) -> None:
    """Each hour from the first to the last has one row, and the hours that were counted are all there."""
    assert run_checks(traffic, project.data.CHECKS).failed == ()
    assert (traffic.height, traffic["volume"].count()) == (41_583, 29_645)
    assert traffic["time"].max() - traffic["time"].min() == timedelta(hours=41_582)


def _without_an_hour(traffic: pl.DataFrame) -> pl.DataFrame:
    return traffic.filter(pl.col("time") != datetime(2016, 5, 5, 5))


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [
        (_without_an_hour, "gap"),
        (pl.DataFrame.reverse, "time sorted"),
        (lambda traffic: pl.concat([traffic, traffic.tail(1)]), "time unique"),
        (lambda traffic: traffic.with_columns(-pl.col("volume")), "volume in 0..10000"),
        (lambda traffic: traffic.head(100), "rows"),
    ],
)
def test_spoilt_data_is_blocked(project: Any, traffic: pl.DataFrame, spoil: Any, broken: str) -> None:
    """A series with a hole, in disorder, doubled, impossible or short is not published."""
    report = run_checks(spoil(traffic), project.data.CHECKS)
    assert report.blocks
    assert any(broken in result.name for result in report.failed), [result.name for result in report.failed]


def test_forecasts_beat_last_week(project: Any, found: Evaluation) -> None:
    """On a year that was not trained on; the reference has the error that was measured apart from this code."""
    rows = found.rows
    assert rows["time"].min() == datetime(2016, 7, 1)
    assert rows.select((pl.col("naive") - pl.col("truth")).abs().mean()).item() == pytest.approx(331, abs=0.5)
    assert found.metrics["skill"].low > 0.1
    assert found.metrics["skill"].value == pytest.approx(1 - found.metrics["mae"].value / 330.99, abs=1e-3)
    assert found.metrics["mase"].high < found.metrics["mase"].baseline
    assert 0.72 < found.metrics["coverage_80"].low < found.metrics["coverage_80"].high < 0.85
    assert all(result.passed for result in decide(project.model.GATES, found, None))


def test_last_week_itself_is_rejected(project: Any, found: Evaluation) -> None:
    """A model that is no better than the reference fails its gate, and the reason says by how much."""
    from traffic.skill import skill

    copied = found.rows.with_columns(predicted="naive")
    results = decide(project.model.GATES[:1], Metrics((skill(copied),), task="forecasting"), None)
    assert not results[0].passed
    assert "lower bound 0.0000 of 0.0000 misses 0.1" in results[0].reason


def test_report_is_a_page(project: Any, found: Evaluation) -> None:
    """Four charts, the metrics, and the week in which nothing was as before."""
    page = project.model.report(found).text
    assert page.count("<svg") == 4
    assert "last week&#x27;s volume" in page
    assert len(page) < 200_000


def test_exploration_shows_what_cannot_be(project: Any, raw: pl.DataFrame) -> None:
    """The page on what was collected has all columns, and the rain of 9,831 mm."""
    page = project.data.explore_counts(raw).text
    assert page.count("<article>") == raw.width
    assert "9,831" in page


def test_unit_tests_of_the_template_pass(project: Any) -> None:
    """What a new project is given to start from is green."""
    tests = runpy.run_path(str(TEMPLATE / "tests/test_steps.py"))
    names = [name for name in tests if name.startswith("test_")]
    assert len(names) == 5
    for name in names:
        tests[name]()
