"""Plots and the page of an evaluation."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression

from filiera.core.evaluation import Evaluation
from filiera.core.metric import Metric, Metrics
from filiera.core.report import Svg
from filiera.errors import UsageError
from filiera.model import plots
from filiera.model.drawing import MOST_POINTS, Plot, ticks
from filiera.model.evaluation import AnomalyDetection, Design, Forecasting, Ranking, evaluate
from filiera.model.report import evaluation_html


class Same:
    """A model that answers with its input."""

    feature_names_in_ = ("x",)

    def predict(self, rows: pl.DataFrame) -> pl.Series:
        return rows["x"]

    def predict_quantiles(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select((pl.col("x") - 1).alias("0.1"), (pl.col("x") + 1).alias("0.9"))


def rows() -> pl.DataFrame:
    source = np.random.default_rng(0)
    x = source.normal(size=300)
    return pl.DataFrame(
        {
            "x": x,
            "y": 2 * x + source.normal(size=300),
            "kind": np.where(x + source.normal(size=300) > 0, "<b>", "no"),
            "odd": np.abs(x) > 2,
            "time": range(300),
            "site": ["rome", "milan", "turin"] * 100,
        }
    )


@functools.cache
def evaluations() -> dict[str, Evaluation]:
    frame = rows()
    x, design = frame.select("x"), Design(slices=("site",))
    fair = Design(slices=("site",), groups=("site",))
    past = frame.select("time", "y")
    return {
        "classification": evaluate(LogisticRegression().fit(x, frame["kind"]), frame, target="kind", design=fair),
        "regression": evaluate(LinearRegression().fit(x, frame["y"]), frame, target="y", design=design),
        "clustering": evaluate(KMeans(3, n_init=1, random_state=0).fit(x), frame, target="", task="clustering"),
        "anomaly_detection": evaluate(
            IsolationForest(n_estimators=5, random_state=0).fit(x), frame, target="odd", task=AnomalyDetection()
        ),
        "forecasting": evaluate(Same(), frame, target="y", task=Forecasting(time="time", history=past)),
        "ranking": evaluate(
            Same(), frame.with_columns(good=pl.col("x") > 0), target="good", task=Ranking(query="site")
        ),
    }


FITTING = {
    "classification": {plots.roc, plots.precision_recall, plots.confusion, plots.reliability},
    "regression": {plots.residuals},
    "clustering": {plots.silhouette},
    "anomaly_detection": {plots.roc, plots.precision_recall},
    "forecasting": {plots.residuals, plots.forecast},
    "ranking": set(),
}


@pytest.mark.parametrize("task", FITTING)
def test_what_fits_is_drawn(task: str) -> None:
    """Each plot that fits a task is one SVG document of finite numbers, and the page of the task shows it."""
    found = evaluations()[task]
    page = evaluation_html(found, title="<i>").text
    for plot in FITTING[task]:
        drawing = plot(found)
        assert ElementTree.fromstring(drawing.text).tag.endswith("svg")
        assert "nan" not in drawing.text and "inf" not in drawing.text
        assert drawing.text in page
    assert page.count("<svg") == len(FITTING[task]) + page.count('class="intervals"')
    assert "<b>" not in page.replace("&lt;b&gt;", "") and "<i>" not in page
    for metric in found.metrics:
        assert metric.name in page


@pytest.mark.parametrize(
    ("plot", "task"),
    [
        (plots.roc, "regression"),
        (plots.precision_recall, "ranking"),
        (plots.confusion, "ranking"),
        (plots.reliability, "regression"),
        (plots.residuals, "classification"),
        (plots.silhouette, "regression"),
        (plots.forecast, "regression"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_does_not_fit_is_refused(plot: Callable[[Evaluation], Svg], task: str) -> None:
    """A plot of what an evaluation does not have says what is missing."""
    with pytest.raises(UsageError):
        plot(evaluations()[task])


def test_the_page_loads_nothing_and_shows_parts() -> None:
    """It has tables of classes, calibration, slices and groups, and no address outside itself."""
    page = evaluation_html(evaluations()["classification"]).text
    for heading in ("Metrics", "Classes", "Of no: expected calibration error", "By site", "Groups by site"):
        assert heading in page
    assert not re.search(r"(src|href)=|url\(http|<script", page)


def test_a_learning_curve_has_both_lines() -> None:
    """Sizes and metrics go together, or are refused."""
    metrics = [Metric(name="mae", value=v, low=v - 0.1, high=v + 0.1, n=9, method="x") for v in (0.9, 0.5, 0.4)]
    assert plots.learning_curve([10, 20, 30], metrics, metrics).text.count("<polyline") == 2
    with pytest.raises(UsageError):
        plots.learning_curve([10], metrics)


def test_many_rows_are_thinned() -> None:
    """A drawing stays small, whatever was evaluated."""
    n = 50_000
    frame = pl.DataFrame({"truth": np.arange(n, dtype=float), "predicted": np.arange(n, dtype=float) ** 0.5})
    drawn = plots.residuals(Evaluation(metrics=Metrics((), task="regression"), rows=frame))
    assert drawn.text.count("<circle") <= MOST_POINTS


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_inside(low: float, width: float) -> None:
    """At most 11 round numbers, rising, none outside."""
    high = low + width
    found = list(ticks(low, high))
    assert 1 <= len(found) <= 11
    assert found == sorted(found)
    assert all(low - 1e-6 * width <= value <= high + 1e-6 * width for value in found)


@pytest.mark.parametrize("ends", [(1.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_axes_without_a_range_get_one(ends: Any) -> None:
    """Constant and undefined values can be drawn."""
    text = Plot("constant", ends, ends).svg("x", "y").text
    assert "nan" not in text
