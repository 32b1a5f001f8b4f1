"""Predictions as Parquet tables: whatever was logged comes back as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.prediction_parts import decoded, encoded, scanned, together
from filiera.testing.prediction_log import prediction

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5)
)
VALUES = PLAIN | st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner), max_leaves=4
)
NAMES = st.sampled_from(["x", "y", "a.b", "inputs", "id"])
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text("0123", min_size=1, max_size=3),
            "at": st.floats(0, 2e9),
            "version": st.sampled_from([1, 2, "1.0"]),
            "inputs": st.dictionaries(NAMES, VALUES, max_size=3),
            "outputs": st.dictionaries(NAMES, VALUES, max_size=2),
        },
        optional={"ended": st.sampled_from(["done", None])},
    ),
    min_size=1,
    max_size=6,
)


def alike(first: Any, second: Any) -> bool:
    """Tell whether both are the same JSON: a truth value is no number, but 1 may be spelled 1.0."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(alike(first[name], second[name]) for name in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(alike, first, second))
    return isinstance(first, bool) == isinstance(second, bool) and bool(first == second)


@given(records=RECORDS)
def test_records_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]
) -> None:
    """Of whatever JSON holds: nothing is lost, made up or in another place, and what was left out stays so."""
    content, spelling = encoded(records)
    file = tmp_path_factory.mktemp("part") / "part"
    file.write_bytes(content)
    found = list(decoded(file, spelling))
    assert len(found) == len(records)
    assert all(map(alike, found, records))


def test_usual_columns_have_their_types(tmp_path: Path) -> None:
    """Numbers, texts, truth values and probabilities need no reading of JSON, and a window is cut from the query."""
    rows = [{**prediction(n), "inputs": {"a": n, "b": n / 2, "c": "x", "d": n > 1, "e": None}} for n in range(4)]
    content, spelling = encoded(rows)
    (tmp_path / "part").write_bytes(content)
    assert (spelling.texts, spelling.gaps) == ((), ())
    table = scanned(tmp_path / "part", since=1.0, until=3.0).collect()
    assert table["inputs.a"].to_list() == [1, 2]
    kinds = [table.schema[f"inputs.{name}"] for name in "abcd"]
    assert kinds == [pl.Int64, pl.Float64, pl.String, pl.Boolean]
    assert table["outputs.probabilities"].struct.field("b").to_list() == [0.75, 0.75]
    assert [record["at"] for record in decoded(tmp_path / "part", spelling, since=1.0, until=3.0)] == [1.0, 2.0]


def test_tables_of_different_columns_are_one_query(tmp_path: Path) -> None:
    """What one of them does not have is null."""
    for number, inputs in enumerate(({"a": 1}, {"a": 1.5, "b": "x"})):
        (tmp_path / str(number)).write_bytes(encoded([{"id": "1", "at": 1.0, "inputs": inputs, "outputs": {}}])[0])
    query = together([tmp_path / "0", tmp_path / "1"])
    assert query is not None
    assert query.select("inputs.a", "inputs.b").collect().rows() == [(1.0, None), (1.5, "x")]
    assert together([]) is None
