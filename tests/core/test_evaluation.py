"""What an evaluation is."""

from __future__ import annotations

import pytest

from filiera.core.evaluation import Evaluation, Slice, metrics_of
from filiera.core.metric import Metric, Metrics
from filiera.errors import UsageError

pl = pytest.importorskip("polars")


def measured(value: float) -> Metrics:
    return Metrics((Metric(name="mae", value=value, low=0, high=1, n=3, method="bootstrap"),), task="regression")


def test_evaluations_are_equal_when_all_is() -> None:
    """Metrics, rows and the types of the columns count."""
    rows = pl.DataFrame({"row": [1, 2]}, schema={"row": pl.UInt64})
    one, same = (Evaluation(metrics=measured(0.5), rows=rows.clone()) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    assert one != Evaluation(metrics=measured(0.6), rows=rows)
    assert one != Evaluation(metrics=measured(0.5), rows=rows.reverse())
    assert one != Evaluation(metrics=measured(0.5), rows=rows.cast(pl.Int64))
    assert one != measured(0.5)


def test_metrics_are_found_by_slice() -> None:
    """A slice is named by its column and value; a name that is not there is told those that are."""
    found = Evaluation(
        metrics=measured(0.5),
        slices=(Slice(column="protocol", value="tcp", metrics=measured(0.7)),),
        rows=pl.DataFrame(),
    )
    assert found.of("protocol", "tcp") == measured(0.7)
    with pytest.raises(UsageError, match="protocol = 'tcp'"):
        found.of("protocol", "udp")


def test_an_evaluation_and_bare_metrics_have_metrics() -> None:
    """What a gate looks at is the same for both."""
    assert metrics_of(measured(0.5)) == metrics_of(Evaluation(metrics=measured(0.5), rows=pl.DataFrame()))
