"""What goes with what, and what says another column."""

from __future__ import annotations

import math
import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from filiera.data.association import Comparable, associations, correlation, correlation_ratio, skill
from filiera.data.explore import explore

PAIRS = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=40)


@given(pairs=PAIRS)
def test_correlations_agree_with_scipy(pairs: list[tuple[int, int]]) -> None:
    """Pearson's and, of ranks, Spearman's; none where a column does not vary."""
    first, second = (pl.Series([float(pair[i]) for pair in pairs]) for i in (0, 1))
    found = correlation(first, second)
    ranked = correlation(first.rank(), second.rank())
    if first.n_unique() == 1 or second.n_unique() == 1:
        assert (found, ranked) == (None, None)
        return
    assert found == pytest.approx(stats.pearsonr(first, second).statistic, abs=1e-9)
    assert ranked == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-9)


@given(groups=st.lists(st.lists(st.integers(0, 20), min_size=2, max_size=8), min_size=2, max_size=5))
def test_correlation_ratio_follows_from_scipys_f(groups: list[list[int]]) -> None:
    """ε² is ((F - 1)(k - 1)) / (F (k - 1) + n - k), another road to the same number."""
    numbers = pl.Series([float(x) for group in groups for x in group])
    names = pl.Series([str(i) for i, group in enumerate(groups) for _ in group])
    found = correlation_ratio(numbers, names)
    if numbers.n_unique() == 1:
        assert found is None
    elif all(len(set(group)) == 1 for group in groups):
        assert found == pytest.approx(1.0)
    else:
        f, k, n = stats.f_oneway(*groups).statistic, len(groups), len(numbers)
        assert found == pytest.approx(math.sqrt(max(0.0, (f - 1) * (k - 1) / (f * (k - 1) + n - k))), abs=1e-6)


def test_pairs_are_measured_by_their_kinds() -> None:
    """Numbers and times are correlated, categories are counted, and what does not vary is left out."""
    frame = pl.DataFrame({"n": range(60), "m": [-i for i in range(60)], "c": ["a", "b"] * 30, "k": [1] * 60})
    kinds = {"n": "number", "m": "number", "c": "category", "k": "number"}
    found = [Comparable.of(frame[name], kind) for name, kind in kinds.items()]  # type: ignore[arg-type]
    made = list(associations([one for one in found if one]))
    assert {(one.first, one.second, one.measure): round(one.value, 6) for one in made} == {
        ("n", "m", "pearson"): -1.0,
        ("n", "m", "spearman"): -1.0,
        ("n", "c", "correlation_ratio"): 0.0,
        ("m", "c", "correlation_ratio"): 0.0,
    }


def of(values: list[object], kind: str = "number") -> Comparable:
    found = Comparable.of(pl.Series("x", values, strict=False), kind)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_skill_tells_copies_from_noise() -> None:
    """A copy, a coded copy and a range say the answer; noise and identifiers do not; few rows give no answer."""
    chance = random.Random(0)
    answers = chance.choices(["a", "b", "c"], k=2000)
    labels = pl.Series(answers)
    code = {"a": 7.0, "b": 3.0, "c": 9.0}
    assert skill(of(answers, "category"), labels) == 1.0
    assert skill(of([code[answer] + chance.random() / 10 for answer in answers]), labels) == pytest.approx(1.0, abs=0.1)
    assert abs(skill(of([chance.random() for _ in answers]), labels) or 0) < 0.1
    assert (skill(of(list(range(2000))), labels) or 0) < 0.1
    assert skill(of([1, 2] * 30), pl.Series(["a"] * 55 + ["b"] * 5)) is None


def test_skill_of_a_numeric_answer() -> None:
    """A function of the answer says it, though the answer has a long tail; noise does not."""
    chance = random.Random(1)
    answers = [math.exp(3 * chance.gauss(0, 1)) for _ in range(4000)]
    assert (skill(of([-math.log(answer) for answer in answers]), pl.Series(answers)) or 0) > 0.99
    assert abs(skill(of([chance.random() for _ in answers]), pl.Series(answers)) or 0) < 0.1


def test_noise_is_never_said_to_leak() -> None:
    """Of 600 columns of noise of every kind, with rare and with common classes, none is reported."""
    chance = random.Random(2)
    for rare in (0.5, 0.1, 0.03):
        rows = 3000
        frame = pl.DataFrame(
            {"y": chance.choices(["yes", "no"], [rare, 1 - rare], k=rows)}
            | {f"normal{i}": [chance.gauss(0, 1) for _ in range(rows)] for i in range(20)}
            | {f"few{i}": chance.choices(range(2 + i), k=rows) for i in range(20)}
            | {f"text{i}": chance.choices([f"v{j}" for j in range(2 + 8 * i)], k=rows) for i in range(20)}
        )
        assert not [finding for finding in explore(frame, target="y").findings if "Says the answer" in finding]


def test_a_column_that_says_the_target_is_reported() -> None:
    """Among noise, the one that leaks is named, for classes and for numbers."""
    chance = random.Random(3)
    labels = chance.choices(["yes", "no"], [0.1, 0.9], k=3000)
    amounts = [chance.random() for _ in labels]
    frame = pl.DataFrame({"y": labels, "z": amounts, "noise": [chance.random() for _ in labels]}).with_columns(
        closed=pl.when(pl.col("y") == "yes").then(pl.lit("closed")).otherwise(None), cents=(pl.col("z") * 10**4).round()
    )
    assert "closed (100 %)" in explore(frame, target="y").findings[0]
    assert "cents (100 %)" in explore(frame, target="z").findings[0]
