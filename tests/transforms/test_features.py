"""A feature has a second definition that it must agree with, and travels with the model as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core import plain
from filiera.errors import Rejected, UsageError
from filiera.transforms import Impute, Scale, disagreements, feature, fit_transforms, require_agreement
from filiera.transforms.features import Feature
from tests.transforms.frames import exact

ROWS = pl.DataFrame({"bytes": [10, 0, 7, None], "packets": [4, 0, 3, 2], "proto": ["tcp", "udp", "tcp", None]})


def mean_size(row: Mapping[str, Any]) -> float | None:
    if row["bytes"] is None or not row["packets"]:
        return None
    return row["bytes"] / row["packets"] / 3  # type: ignore[no-any-return]


@feature(oracle=mean_size)
def bytes_per_packet() -> pl.Expr:
    return pl.when(pl.col("packets") != 0).then(pl.col("bytes") / pl.col("packets") / 3)


@feature(oracle=lambda row: row["proto"] == "tcp" if row["proto"] else False)
def is_tcp() -> pl.Expr:
    return pl.col("proto").str.to_lowercase().eq("tcp").fill_null(False)


@feature(oracle=mean_size)
def forgets_zero() -> pl.Expr:
    return pl.col("bytes") / pl.col("packets") / 3


def test_where_the_definitions_differ_is_shown() -> None:
    """By feature and row, with both values; a column that is there is judged as it is there."""
    assert disagreements(ROWS, [bytes_per_packet, is_tcp]).is_empty()
    found = disagreements(ROWS, [forgets_zero])
    assert found.rows() == [("forgets_zero", 1, "nan", "None")]
    with pytest.raises(Rejected, match="in 1 of the rows") as caught:
        require_agreement(ROWS, [forgets_zero])
    assert caught.value.why == "forgets_zero, row 1: nan, should be None"
    tampered = ROWS.with_columns(bytes_per_packet=pl.lit(2.0))
    assert disagreements(tampered, [bytes_per_packet])["row"].to_list() == [0, 1, 2, 3]


def test_boundary_rows_are_judged_however_small_the_sample() -> None:
    """The only row with a zero among many is looked at."""
    rows = pl.DataFrame({"bytes": [5] * 5000, "packets": [2] * 4321 + [0] + [2] * 678})
    assert disagreements(rows, [forgets_zero], sample=10)["row"].to_list() == [4321]


def test_floats_may_differ_by_rounding_only() -> None:
    """Integers, texts and truth may not differ at all, nor in type."""
    loose = Feature(name="x", define=lambda: pl.col("a") * 1.0, oracle=lambda row: row["a"] * (1 + 1e-12))
    off = Feature(name="x", define=lambda: pl.col("a"), oracle=lambda row: bool(row["a"]))
    rows = pl.DataFrame({"a": [1, 3]})
    assert disagreements(rows, [loose]).is_empty()
    assert disagreements(rows, [off]).height == 2


def test_an_oracle_that_raises_is_named() -> None:
    """With the row that it cannot judge."""
    broken = Feature(name="x", define=lambda: pl.col("a"), oracle=lambda row: 1 / row["a"])
    with pytest.raises(UsageError, match="oracle of feature 'x' raised ZeroDivisionError") as caught:
        disagreements(pl.DataFrame({"a": [1, 0]}), [broken])
    assert "row 1" in caught.value.why


cells = st.fixed_dictionaries(
    {
        "bytes": st.none() | st.integers(-(10**6), 10**6),
        "packets": st.none() | st.integers(0, 5),
        "proto": st.none() | st.sampled_from(["tcp", "TCP", "udp"]),
    }
)


@given(rows=st.lists(cells, max_size=8))
def test_a_feature_travels_with_the_transforms(rows: list[dict[str, Any]]) -> None:
    """Learned from, filled and scaled like other columns; the same in frame, query, row and after storage."""
    fitted = fit_transforms([bytes_per_packet, Impute("bytes_per_packet"), is_tcp, Scale("bytes_per_packet")], ROWS)
    again = plain.decode(plain.encode(fitted))
    assert again == fitted
    frame = pl.DataFrame(rows, schema=ROWS.schema)
    expected = fitted.apply(frame.lazy()).collect()
    assert exact(again.apply(frame)) == exact(expected)
    assert exact(pl.DataFrame([again.apply(row) for row in rows], schema=expected.schema)) == exact(expected)
    doubled = fitted.apply(pl.concat([frame, frame], rechunk=True).lazy()).collect()
    assert exact(doubled[: frame.height]) == exact(expected)


@given(values=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20), divisor=st.floats(0.1, 1e6) | st.integers(1, 99))
def test_a_division_by_a_constant_is_the_same_for_one_row_and_for_many(values: list[float], divisor: float) -> None:
    """Polars alone rounds the two differently."""
    share = Feature(name="x", define=lambda: pl.col("a") / divisor, oracle=lambda row: row["a"] / divisor)
    rows = pl.DataFrame({"a": values})
    fitted = fit_transforms([share], rows)
    together = fitted.apply(rows.lazy()).collect()["x"].to_list()
    assert [fitted.apply({"a": value})["x"] for value in values] == together
    assert together == pytest.approx([value / divisor for value in values], rel=1e-15)


def test_a_wrong_feature_is_not_learned() -> None:
    """It is compared with its oracle on the training rows."""
    with pytest.raises(Rejected, match="not what their oracles say"):
        fit_transforms([forgets_zero], ROWS)


@pytest.mark.parametrize("define", [lambda: pl.lit(1), lambda: pl.col("bytes").sum()], ids=["constant", "aggregate"])
def test_what_is_no_feature_is_refused(define: Any) -> None:
    """It is computed from columns, for each row."""
    one = Feature(name="x", define=define, oracle=lambda row: math.nan)
    with pytest.raises((UsageError, Rejected)):
        fit_transforms([one], ROWS)
