import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core import plain
from filiera.core.metric import ClassScore, Metric, Metrics
from filiera.errors import UsageError


def metric(name: str = "accuracy", value: float = 0.8, low: float = 0.7, high: float = 0.9) -> Metric:
    return Metric(name=name, value=value, low=low, high=high, n=50, method="wilson")


def test_metrics_survive_being_written_down() -> None:
    """What is recorded of a model version comes back equal, NaN apart."""
    score = ClassScore(label="dos", rows=3, predicted=2, correct=1)
    metrics = Metrics((metric(), metric("f1")), task="classification", classes=(score,), notes=("x",), evaluation="e")
    assert plain.decode(plain.encode(metrics)) == metrics


def test_unknown_name_lists_those_that_exist() -> None:
    """A mistyped metric is answered with the names there are."""
    with pytest.raises(UsageError, match="f1_marco") as caught:
        Metrics((metric(), metric("f1_macro")), task="classification")["f1_marco"]
    assert "accuracy, f1_macro" in str(caught.value)


def test_metrics_are_walked_and_asked_by_name() -> None:
    """A collection of metrics reads like a dictionary that keeps its order."""
    metrics = Metrics((metric("b"), metric("a")), task="regression")
    assert [found.name for found in metrics] == ["b", "a"]
    assert "a" in metrics
    assert "c" not in metrics


@pytest.mark.parametrize(
    "broken",
    [
        {"low": 0.9, "high": 0.7},
        {"level": 1.0},
        {"level": 0.0},
        {"n": -1},
        {"name": ""},
    ],
    ids=str,
)
def test_impossible_metric_is_refused_at_birth(broken: dict[str, object]) -> None:
    """An interval runs upwards, a level is a share, a number of rows is not negative."""
    fields = {"name": "a", "value": 0.8, "low": 0.7, "high": 0.9, "n": 5, "method": "x"} | broken
    with pytest.raises(ValueError):
        Metric(**fields)  # type: ignore[arg-type]


def test_same_name_twice_is_refused() -> None:
    """A name finds one metric."""
    with pytest.raises(ValueError, match="twice"):
        Metrics((metric(), metric()), task="classification")


def test_numbers_become_plain_floats() -> None:
    """Whatever kind of number is given, what is kept can be written as JSON."""
    built = Metric(name="a", value=1, low=0, high=True, n=5, method="x", baseline=0)
    assert [type(x) for x in (built.value, built.low, built.high, built.baseline)] == [float] * 4


def test_undefined_metric_says_so() -> None:
    """NaN anywhere makes a metric undefined."""
    assert metric().is_defined
    assert not metric(value=math.nan).is_defined
    assert not metric(low=math.nan).is_defined


@given(
    st.integers(0, 50).flatmap(
        lambda correct: st.tuples(st.just(correct), st.integers(correct, 99), st.integers(correct, 99))
    )
)
def test_class_scores_are_shares(counts: tuple[int, int, int]) -> None:
    """Precision, recall and F1 lie between 0 and 1, and F1 between the other two, when anything was right."""
    correct, rows, predicted = counts
    score = ClassScore(label=1, rows=rows, predicted=predicted, correct=correct)
    assert 0 <= score.f1 <= 1
    if correct:
        assert min(score.recall, score.precision) - 1e-12 <= score.f1 <= max(score.recall, score.precision) + 1e-12


def test_more_correct_than_rows_is_refused() -> None:
    """No class has more hits than rows or than predictions."""
    with pytest.raises(ValueError, match="class 'a'"):
        ClassScore(label="a", rows=1, predicted=5, correct=2)
