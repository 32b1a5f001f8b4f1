from math import inf, nan
from typing import Any

import pytest

from filiera.core import plain
from filiera.core.reference import CategoricalReference, NumericReference, ReferenceProfile

NUMERIC: dict[str, Any] = {
    "name": "x",
    "type": "float64",
    "rows": 6,
    "nulls": 1,
    "non_finite": 1,
    "edges": (-inf, 1.0, 2.0, inf),
    "counts": (2, 1, 1),
    "mean": 1.5,
    "sd": 1.0,
    "minimum": 0.5,
    "maximum": 3.0,
}
CATEGORICAL: dict[str, Any] = {
    "name": "p",
    "type": "string",
    "rows": 4,
    "nulls": 1,
    "values": ("tcp",),
    "counts": (2,),
    "other": 1,
}


def test_profile_survives_being_written_down() -> None:
    """Infinite edges and all kinds of values come back equal."""
    columns = (NumericReference(**NUMERIC), CategoricalReference(**CATEGORICAL))
    profile = ReferenceProfile(rows=6, columns=columns, outputs=(NumericReference(**NUMERIC),))
    assert plain.decode(plain.encode(profile)) == profile


def test_an_edge_belongs_to_the_bin_below() -> None:
    """Bins hold what is above their lower edge, up to and with their upper edge."""
    reference = NumericReference(**NUMERIC)
    assert [reference.bin_of(x) for x in (-1e300, 1.0, 1.0000001, 2.0, 2.5, 1e300)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    "broken",
    [
        {"edges": (-inf, 1.0, inf)},
        {"edges": (0.0, 1.0, 2.0, inf)},
        {"edges": (-inf, 2.0, 1.0, inf)},
        {"edges": (-inf, 1.0, 1.0, inf)},
        {"edges": (-inf, nan, 1.0, inf)},
        {"counts": (2, 1, 2)},
        {"counts": (5, -2, 1)},
        {"mean": None},
        {"sd": nan},
    ],
    ids=str,
)
def test_impossible_numeric_reference_is_refused(broken: dict[str, Any]) -> None:
    """Edges ascend from -inf to inf, and counts add up to the rows that have a number."""
    with pytest.raises(ValueError, match="x"):
        NumericReference(**NUMERIC | broken)


@pytest.mark.parametrize(
    "broken", [{"counts": (2, 1)}, {"other": 0}, {"values": ("tcp", "tcp"), "counts": (1, 1)}, {"other": -1}], ids=str
)
def test_impossible_categorical_reference_is_refused(broken: dict[str, Any]) -> None:
    """Each value has one count, and counts add up to the rows that have a value."""
    with pytest.raises(ValueError, match="p"):
        CategoricalReference(**CATEGORICAL | broken)


def test_columns_and_outputs_are_found_by_name() -> None:
    """A name finds its column or output, and a wrong one is told what there is."""
    profile = ReferenceProfile(
        rows=6, columns=(NumericReference(**NUMERIC),), outputs=(CategoricalReference(**CATEGORICAL),)
    )
    assert profile.column("x").rows == 6
    assert profile.output("p").total == 3
    with pytest.raises(KeyError, match="there are: x"):
        profile.column("p")


def test_same_name_twice_is_refused() -> None:
    """A name finds one column."""
    with pytest.raises(ValueError, match="twice"):
        ReferenceProfile(rows=6, columns=(NumericReference(**NUMERIC), NumericReference(**NUMERIC)))
