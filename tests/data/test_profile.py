"""Profiles as values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats.contingency import association

from filiera.core import plain
from filiera.data.association import cramers_v
from filiera.data.profile import Bar, Column, Profile


def bergsma(table):
    """The formula from uncorrected Cramér's V as SciPy computes it: an independent road to the same number."""
    counts = np.array(table)
    r, k = counts.shape
    n = counts.sum()
    phi2 = association(counts, method="cramer") ** 2 * (min(r, k) - 1)
    phi2 = max(0.0, phi2 - (r - 1) * (k - 1) / (n - 1))
    least = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    return np.sqrt(phi2 / least)


@given(
    table=st.integers(2, 4).flatmap(
        lambda k: st.lists(st.lists(st.integers(1, 50), min_size=k, max_size=k), min_size=2, max_size=4)
    )
)
def test_cramers_v_agrees_with_scipy(table):
    """The corrected coefficient is what follows from SciPy's uncorrected one."""
    assert cramers_v(table) == pytest.approx(min(1.0, bergsma(table)), abs=1e-9)


def test_cramers_v_leaves_out_what_has_no_counts():
    """Empty rows and columns say nothing; a table with one row or column left has no answer."""
    assert cramers_v([[5, 0, 0], [0, 0, 7], [0, 0, 0]]) == cramers_v([[5, 0], [0, 7]])
    assert cramers_v([[5, 3]]) is None
    assert cramers_v([]) is None
    assert cramers_v([[1, 0], [0, 1]]) is None


def test_findings_name_what_is_worth_a_look():
    """Each finding is one sentence with the columns it is about."""
    columns = (
        Column(name="y", type="string", kind="category", nulls=0, distinct=2),
        Column(name="leak", type="string", kind="category", nulls=0, distinct=2, association=0.9, skill=0.97),
        Column(name="gaps", type="int64", kind="number", nulls=25, distinct=3),
        Column(name="same", type="int64", kind="number", nulls=0, distinct=1),
        Column(name="id", type="int64", kind="number", nulls=0, distinct=100),
        Column(name="inf", type="float64", kind="number", nulls=0, infinite=2, distinct=3),
    )
    classes = (Bar(label="a", count=90), Bar(label="b", count=10))
    profile = Profile(title="t", rows=100, columns=columns, repeated_rows=3, target="y", classes=classes)
    assert profile.findings == (
        "Says the answer? Guessing y by one column alone avoids nearly all wrong guesses: leak (97 %). "
        "Would it be known at prediction?",
        "Rare in y: b (10 rows).",
        "Infinite: inf (2 rows).",
        "Missing values: gaps (25 %).",
        "Repeated rows: 3 of 100 equal an earlier row.",
        "Only one value: same. Nothing can be learned from it.",
        "Different in every row: id. An identifier says nothing by itself.",
    )
    assert plain.decode(plain.encode(profile)) == profile
