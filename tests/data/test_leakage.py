"""Features that know the label."""

from __future__ import annotations

import random

import polars as pl
import pytest

from filiera.core.check import Check
from filiera.data.checks import run_checks

ROWS = 400


def table(classes):
    """Return rows with a label of so many classes, and features that have nothing to do with it."""
    dice = random.Random(classes)
    labels = [f"class {dice.randrange(classes)}" for _ in range(ROWS)]
    return pl.DataFrame(
        {
            "label": labels,
            "noise": [dice.gauss(0, 1) for _ in labels],
            "whole": [dice.randrange(5) for _ in labels],
            "flag": [dice.random() < 0.5 for _ in labels],
            "text": [dice.choice("abc") for _ in labels],
            "name": [f"row {n}" for n in range(ROWS)],
            "constant": [1] * ROWS,
        }
    )


def reason(frame, *features, label="label"):
    return run_checks(frame.lazy(), [Check.no_leakage(label, *features)]).results[0].reason


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_honest_features_pass(classes):
    """Noise, names of rows and constants are no leak; a strong feature that errs sometimes is none either."""
    frame = table(classes)
    strong = frame["label"].to_list()
    strong[0] = next(label for label in strong if label != strong[0])
    assert reason(frame.with_columns(strong=pl.Series(strong))) == ""


def test_what_is_made_from_the_label_is_found():
    """A code of the class, a text that tells it, and a number whose ranges do not overlap."""
    frame = table(3).with_columns(
        code=pl.col("label").str.slice(6).cast(pl.Int64),
        attack=pl.when(pl.col("label") == "class 0").then(pl.lit("none")).otherwise(pl.col("label") + pl.col("text")),
        shifted=pl.col("label").str.slice(6).cast(pl.Int64) * 100 + pl.col("noise"),
        is_known=pl.when(pl.col("label") == "class 1").then(1),
    )
    found = "code is a function of label; attack tells label; the ranges of shifted tell label; is_known is a function"
    assert reason(frame) == f"{found} of label"
    assert reason(frame, "noise", "shifted") == "the ranges of shifted tell label"
    assert reason(frame.head(20)) == ""


def test_a_quantity_in_another_unit_is_found():
    """Of a label with many values, a feature that is the label but for scale."""
    dice = random.Random(5)
    bytes_sent = [dice.randrange(10**6) for _ in range(3000)]
    frame = pl.DataFrame({"label": bytes_sent, "noise": [b + dice.gauss(0, 1000) for b in bytes_sent]})
    assert reason(frame) == ""
    assert reason(frame.with_columns(kb=pl.col("label") / 1000 + 7)) == "kb is label but for scale"
