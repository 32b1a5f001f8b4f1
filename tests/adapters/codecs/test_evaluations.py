"""Evaluations are stored with their rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from filiera.adapters.codecs.evaluations import EvaluationCodec
from filiera.core.evaluation import Evaluation, Fairness, Slice
from filiera.core.metric import ClassScore, Metric, Metrics
from filiera.testing.codec import CodecContract

pl = pytest.importorskip("polars")


def measured(value: float) -> Metrics:
    metric = Metric(name="accuracy", value=value, low=0.4, high=0.9, n=10, method="wilson", baseline=0.5)
    score = ClassScore(label="dos", rows=10, predicted=8, correct=6)
    return Metrics((metric,), task="classification", classes=(score,), notes=("così",), evaluation="e" * 64)


def evaluations() -> list[Evaluation]:
    rows = pl.DataFrame(
        {
            "row": pl.Series([2**64 - 1, 0, 7], dtype=pl.UInt64),
            "truth": ["dos", "normal", "dos"],
            "predicted": ["dos", None, "dos"],
            "p:dos": [0.5, float("nan"), 1.0],
            "host": ["a", "a", None],
        }
    )
    parts = (Slice(column="host", value="a", metrics=measured(0.5)), Slice(column="n", value=2, metrics=measured(1.0)))
    fair = Fairness(column="host", positive="dos", groups=parts, differences=measured(0.7))
    bare = Metrics((), task="clustering", notes=("nothing is defined",))
    return [
        Evaluation(metrics=bare, rows=rows.clear()),
        Evaluation(metrics=bare, rows=pl.DataFrame()),
        Evaluation(metrics=measured(0.6), slices=parts, fairness=(fair,), clusters="host", rows=rows),
        Evaluation(metrics=measured(0.6), rows=pl.concat([rows] * 50_000)),
    ]


class TestEvaluationCodec(CodecContract):
    def make_codec(self) -> EvaluationCodec:
        return EvaluationCodec()

    def make_values(self) -> Sequence[Any]:
        return evaluations()


def test_bytes_do_not_tell_how_rows_were_made() -> None:
    """Rows that were put together from pieces are stored as rows that were made at once."""
    whole = evaluations()[2]
    pieces = pl.concat([whole.rows[:1], whole.rows[1:]], rechunk=False)
    again = Evaluation(
        metrics=whole.metrics, slices=whole.slices, fairness=whole.fairness, clusters=whole.clusters, rows=pieces
    )
    contract = TestEvaluationCodec()
    assert again == whole
    assert contract.digest_of(again) == contract.digest_of(whole)
