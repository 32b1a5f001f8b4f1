from __future__ import annotations

import polars as pl

from filiera.core.evaluation import Evaluation, Fairness, Slice
from filiera.core.metric import ClassScore, Metric, Metrics
from filiera.model.evaluation_text import evaluation_sections
from filiera.model.interval_chart import Measured, interval_chart


def metrics(value: float = 0.8) -> Metrics:
    one = Metric(name="accuracy", value=value, low=value - 0.1, high=value + 0.1, n=40, method="wilson", baseline=0.5)
    scores = (ClassScore(label="a|b", rows=10, predicted=8, correct=6),)
    return Metrics((one,), task="classification", classes=scores, notes=("one class is *rare*",))


def evaluation() -> Evaluation:
    parts = (
        Slice(column="land", value="Ruritania", metrics=metrics()),
        Slice(column="land", value=None, metrics=metrics(0.6)),
    )
    fairness = Fairness(column="land", positive="a|b", groups=parts, differences=Metrics((), task="classification"))
    return Evaluation(metrics=metrics(), slices=parts, fairness=(fairness,), rows=pl.DataFrame())


def test_all_that_was_found_is_told() -> None:
    """Metrics with interval and dummy, classes, each slice, each group."""
    sections = {section.title: section for section in evaluation_sections(evaluation())}
    assert list(sections) == ["Metrics", "Classes", "By land", "Groups by land"]
    assert "| accuracy | 0.8000 | 0.7000 to 0.9000 | 0.5000 |   40 |" in sections["Metrics"].text
    assert "- one class is \\*rare\\*" in sections["Metrics"].text
    assert "| a\\|b  |   10 |" in sections["Classes"].text and "0.7500" in sections["Classes"].text
    assert "| missing   |   40 | 0.6000 (0.5000 to 0.7000) |" in sections["By land"].text
    assert "Decided to be a\\|b" in sections["Groups by land"].text


def test_values_of_sensitive_columns_are_not_told() -> None:
    """Only that there are such parts, and how they fare."""
    texts = [section.text for section in evaluation_sections(evaluation(), sensitive=["land"])]
    assert not any("Ruritania" in text for text in texts)
    assert any("1 (hidden)" in text and "0.8000 (" in text for text in texts)


def test_a_chart_shows_what_is_a_number() -> None:
    """Intervals of another kind are left out; without any there is no chart."""
    good = Measured(label="<f1>", value=0.5, low=0.4, high=0.6)
    chart = interval_chart([good, Measured(label="bad", value=float("nan"), low=0, high=1)], of="x")
    assert chart is not None and "&lt;f1&gt;" in chart.text and "bad" not in chart.text
    assert interval_chart([Measured(label="bad", value=float("inf"), low=0, high=1)], of="x") is None
