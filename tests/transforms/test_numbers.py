"""Numbers are scaled, clipped and put into bins as their formulas say."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from filiera.errors import UsageError
from filiera.transforms import Bins, Clip, Scale, fit_transforms
from filiera.transforms.step import Recipe

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


@given(values=numbers)
def test_scales_as_scikit_learn_does(values: list[float]) -> None:
    """The second, independent definition."""
    rows = pl.DataFrame({"x": values})
    spread = max(values) - min(values)
    for method, theirs in (("standard", StandardScaler()), ("min_max", MinMaxScaler())):
        ours = fit_transforms([Scale("x", method)], rows).apply(rows)["x"].to_list()  # type: ignore[arg-type]
        if spread > 1e-3:
            expected = theirs.fit_transform(rows.to_numpy())[:, 0].tolist()
            assert ours == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_robust_scaling_has_median_and_quartiles() -> None:
    """Far values do not move it."""
    fitted = fit_transforms([Scale("x", "robust")], pl.DataFrame({"x": [1, 2, 3, 4, 10**9]}))
    assert fitted.apply({"x": 3}) == {"x": 0.0}
    assert fitted.apply({"x": 5}) == {"x": 1.0}


@pytest.mark.parametrize("method", ["standard", "min_max", "robust"])
@pytest.mark.parametrize("values", [[7.0, 7.0], [5e-324, 1e-323], [-1.7e308, 1.7e308]], ids=["one", "tiny", "huge"])
def test_a_spread_that_cannot_be_divided_by_makes_no_nonsense(method: Any, values: list[float]) -> None:
    """Equal values are centered; what floats cannot invert makes no NaN of good values."""
    rows = pl.DataFrame({"x": values})
    assert not fit_transforms([Scale("x", method)], rows).apply(rows)["x"].is_nan().any()


@given(values=numbers, bins=st.integers(2, 8))
def test_bins_are_those_whose_edges_are_passed(values: list[float], bins: int) -> None:
    """The number of a bin is how many inner edges a value has reached; all are used, none is beyond."""
    rows = pl.DataFrame({"x": values})
    fitted = fit_transforms([Bins("x", bins)], rows)
    edges = fitted.steps[0].edges  # type: ignore[attr-defined]
    assert fitted.apply(rows)["x"].to_list() == [sum(value >= edge for edge in edges) for value in values]
    assert len(edges) < bins
    assert set(fitted.apply(rows)["x"].to_list()) == set(range(len(edges) + 1))


@given(values=numbers, probe=st.floats(allow_nan=False))
def test_clipped_values_are_within_what_was_seen(values: list[float], probe: float) -> None:
    """Limits from quantiles are values of the training rows; clipping twice changes nothing."""
    fitted = fit_transforms([Clip("x", (0.1, 0.9))], pl.DataFrame({"x": values}))
    once = fitted.apply({"x": probe})
    assert min(values) <= once["x"] <= max(values)
    assert fitted.apply(once) == once


def test_infinite_values_are_clipped() -> None:
    """By limits given, before something learns from them that cannot."""
    rows = pl.DataFrame({"x": [1.0, math.inf, -math.inf, None]})
    with pytest.raises(UsageError, match="2 infinite values"):
        fit_transforms([Scale("x")], rows)
    fitted = fit_transforms([Clip("x", low=0, high=9), Scale("x", "min_max")], rows)
    assert fitted.apply(rows)["x"].to_list() == [1 / 9, 1.0, 0.0, None]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Scale("x", "log"), "no method 'log'"),  # type: ignore[arg-type]
        (lambda: Clip("x"), "limits or quantiles"),
        (lambda: Clip("x", (0.1, 0.9), low=0), "limits or quantiles"),
        (lambda: Clip("x", (0.9, 0.1)), "lower and a higher"),
        (lambda: Clip("x", (-0.1, 0.9)), "lower and a higher"),
        (lambda: Clip("x", low=math.nan), "limits or quantiles"),
        (lambda: Bins("x", 1), "2 to 100 bins"),
        (lambda: fit_transforms([Scale([])], pl.DataFrame()), "takes a column"),
        (lambda: fit_transforms([Scale(["x", "x"])], pl.DataFrame()), "takes a column"),
    ],
)
def test_choices_that_make_no_sense_are_refused(make: Any, message: str) -> None:
    """When the transform is written, not when it runs."""
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize("recipe", [Scale("x"), Clip("x", (0, 1)), Bins("x")], ids=lambda recipe: type(recipe).__name__)
@pytest.mark.parametrize("values", [[], [None], ["a"]], ids=["no rows", "all missing", "text"])
def test_nothing_is_learned_from_nothing(recipe: Recipe, values: list[Any]) -> None:
    """No rows, no values or no numbers: the column is named."""
    rows = pl.DataFrame({"x": values}, schema=None if values == ["a"] else {"x": pl.Float64})
    with pytest.raises(UsageError, match="'x'"):
        fit_transforms([recipe], rows)
