"""What gates look at beside the evaluation."""

import math

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.gate import Gate
from filiera.core.metric import Metric
from filiera.model.latency import latency
from filiera.model.reference import reference_profile
from filiera.model.shared import shared_rows
from filiera.project.gating import Measured, costs

VALUES = st.lists(st.tuples(st.sampled_from([0.0, 1.0, math.nan, None]), st.sampled_from(["a", None])), max_size=20)
SCHEMA = {"x": pl.Float64, "name": pl.String}


@given(training=VALUES, evaluated=VALUES)
def test_shared_rows_are_counted(training: list[tuple[float, str]], evaluated: list[tuple[float, str]]) -> None:
    """As counting them one by one, null and NaN being equal to themselves."""
    known = {repr(row) for row in training}
    frames = (pl.LazyFrame(rows, schema=SCHEMA, orient="row") for rows in (training, evaluated))
    found = shared_rows(*frames)
    assert found is not None
    assert (found.training, found.evaluated) == (len(training), len(evaluated))
    assert found.shared == sum(repr(row) in known for row in evaluated)
    assert found.blocks == (found.shared > 0)


def test_rows_of_other_columns_are_not_compared() -> None:
    """A table that was prepared otherwise says nothing."""
    frame = pl.LazyFrame({"x": [1, 2]})
    assert shared_rows(frame, frame.with_columns(y=1)) is None
    assert shared_rows(frame, frame.cast(pl.Float64)) is None
    assert shared_rows(pl.LazyFrame({"x": [1], "y": [2]}), pl.LazyFrame({"y": [2], "x": [1]})).shared == 1  # type: ignore[union-attr]


def test_equal_rows_can_be_allowed() -> None:
    """Where the project says that they are independent observations."""
    frame = pl.LazyFrame({"x": [1, 2]})
    found = shared_rows(frame, frame, is_allowed=True)
    assert found is not None
    assert found.shared == 2
    assert not found.blocks


class Doubler:
    feature_names_in_ = ("x",)

    def predict(self, rows: pl.DataFrame) -> list[float]:
        assert rows.columns == ["x"]
        return [2 * x for x in rows["x"]]


def test_latency_is_an_upper_quantile_with_its_interval() -> None:
    """Of 200 calls with one row each, however few rows there are."""
    found = latency(Doubler(), pl.LazyFrame({"x": [1.0, 2.0], "y": [0, 0]}))
    assert 0 < found.low <= found.value <= found.high
    assert (found.n, found.greater_is_better) == (200, False)


def test_costs_are_measured_when_named() -> None:
    """Nothing is measured that no gate asks for."""
    frame = pl.DataFrame({"x": [float(i) for i in range(400)]})
    profile = reference_profile(frame, inputs=["x"], outputs=[])
    timed = Metric(name="predict_ms", value=1, low=1, high=1, n=200, method="order statistics")
    of = Measured(None, 5_000_000, profile)
    assert costs([Gate("f1", at_least=0.5)], of, frame.lazy()) == {}
    gates = [Gate("model_mb", at_most=4), Gate("evaluation_drift", at_most=0.1), Gate("predict_ms", at_most=5)]
    found = costs(gates, Measured(timed, 5_000_000, profile), frame.lazy())
    assert found["model_mb"].value == 5.0
    assert found["evaluation_drift"].value == 0.0
    assert found["predict_ms"] == timed
    moved = costs(gates, of, frame.select(pl.col("x") + 200).lazy())["evaluation_drift"]
    assert 0.4 < moved.value < 0.6
    assert "x" in moved.method
    assert costs(gates, Measured(None, None, None), frame.lazy())["evaluation_drift"].value == 0.0
