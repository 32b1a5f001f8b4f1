"""How strongly columns go together, and how well one alone says another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import polars as pl

from filiera.core.value import dataclass
from filiera.data.distribution import comparable
from filiera.data.profile import Association, ColumnKind, Measure

PAIR_ROWS = 20_000
"""So many rows of the sample are enough: a correlation of 0 is measured as at most ±0.02 in 99 of 100 tables."""
MAX_CATEGORIES = 200
"""Pairs of categories with more values are not compared: their table would be mostly ones."""
_BINS = 64
_LEAST_ERRORS = 50
_FOLD = "\x00fold"
_GROUP = "\x00group"
_ANSWER = "\x00answer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparable:
    """A column of the sample, of a kind that can be compared: texts, or finite floats; null is missing."""

    name: str
    kind: ColumnKind
    values: pl.Series
    different: int  #: values, missing ones as one

    @classmethod
    def of(cls, values: pl.Series, kind: ColumnKind) -> Comparable | None:
        """Return *values*, or None when they are of no use: of a kind without order or classes, or all the same."""
        if kind == "other":
            return None
        found = values.to_frame("value").select(comparable(pl.col("value"), values.dtype, kind)).to_series()
        different = found.n_unique()  # missing is a value: that it is may say something
        if different < 2:
            return None
        kind = "category" if kind == "category" else "number"
        return cls(name=values.name, kind=kind, values=found, different=different)


def associations(columns: Sequence[Comparable]) -> Iterator[Association]:
    """Yield what goes with what: of numbers both correlations, of categories Cramér's V, else the correlation ratio."""
    for first, second in combinations(columns, 2):
        both = pl.DataFrame({"a": first.values, "b": second.values}).drop_nulls()
        for measure, value in _measures(first.kind, second.kind, both):
            if value is not None:
                yield Association(first=first.name, second=second.name, measure=measure, value=value, rows=both.height)


def _measures(first: ColumnKind, second: ColumnKind, both: pl.DataFrame) -> Iterator[tuple[Measure, float | None]]:
    if first == second == "number":
        yield "pearson", correlation(both["a"], both["b"])
        yield "spearman", correlation(both["a"].rank(), both["b"].rank())
    elif first == second:
        yield "cramers_v", cramers_v(_table(both))
    else:
        numbers, groups = ("a", "b") if first == "number" else ("b", "a")
        yield "correlation_ratio", correlation_ratio(both[numbers], both[groups])


def correlation(first: pl.Series, second: pl.Series) -> float | None:
    """Return Pearson's correlation, -1 to 1, of two series without null; of their ranks, Spearman's.

    None when one of them does not vary, or its deviations are too great for a float.

    Source:
        K. Pearson, Proc. R. Soc. 58 (1895); C. Spearman, Am. J. Psychol. 15 (1904), ties with their mean rank.

    >>> correlation(pl.Series([1.0, 2.0, 3.0]), pl.Series([3.0, 2.0, 1.0]))
    -1.0
    """
    if len(first) < 2:
        return None
    value = pl.DataFrame({"a": first, "b": second}).select(pl.corr("a", "b")).item()
    return max(-1.0, min(1.0, value)) if value is not None and math.isfinite(value) else None


def correlation_ratio(numbers: pl.Series, groups: pl.Series) -> float | None:
    """Return how much of the spread of *numbers* is between *groups*: 0 nothing, 1 all of it.

    The root of ε², which is η² without its bias: 0 on average when groups say nothing, however many there are.

    Source:
        T. Kelley, An unbiased correlation ratio measure, PNAS 21 (1935).

    >>> correlation_ratio(pl.Series([1.0, 1.0, 5.0, 5.0]), pl.Series(["a", "a", "b", "b"]))
    1.0
    """
    frame = pl.DataFrame({"number": numbers, "group": groups})
    n, k = frame.height, groups.n_unique()
    if n <= k or k < 2:
        return None
    whole = frame["number"].var(ddof=0)
    mean = pl.col("number").mean().over("group")
    within = frame.select(((pl.col("number") - mean) ** 2).mean()).item()
    if not isinstance(whole, float) or not math.isfinite(whole) or whole <= 0 or not math.isfinite(within):
        return None
    return math.sqrt(min(1.0, max(0.0, 1 - within / whole * (n - 1) / (n - k))))


def cramers_v(table: Sequence[Sequence[int]]) -> float | None:
    """Return how strongly rows and columns of a table of counts go together: 0 not at all, 1 completely.

    Args:
        table: Counts, all rows of one length; rows and columns without any count are left out.

    Returns:
        The bias-corrected Cramér's V; None when fewer than two rows or columns have counts.

    Source:
        W. Bergsma, A bias-correction for Cramér's V and Tschuprow's T, J. Korean Stat. Soc. 42 (2013).

    >>> cramers_v([[50, 0], [0, 50]]), cramers_v([[25, 25], [25, 25]]), cramers_v([[1, 2]])
    (1.0, 0.0, None)
    """
    rows = [row for row in table if sum(row)]
    columns = [column for column in zip(*rows, strict=True) if sum(column)]
    n = sum(map(sum, rows))
    if len(rows) < 2 or len(columns) < 2 or n < 2:
        return None
    row_sums, column_sums = [sum(row) for row in zip(*columns, strict=True)], [sum(column) for column in columns]
    phi2 = sum(
        count * count / (row_sum * column_sum)
        for column, column_sum in zip(columns, column_sums, strict=True)
        for count, row_sum in zip(column, row_sums, strict=True)
    ) - 1  # fmt: skip
    r, k = len(rows), len(columns)
    phi2 = max(0.0, phi2 - (r - 1) * (k - 1) / (n - 1))
    least = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    return min(1.0, math.sqrt(phi2 / least)) if least > 0 else None


def _table(both: pl.DataFrame) -> list[list[int]]:
    places = {value: i for i, value in enumerate(both["b"].unique().to_list())}
    found: dict[object, list[int]] = {}
    for a, b, rows in both.group_by("a", "b").len().rows():
        found.setdefault(a, [0] * len(places))[places[b]] = rows
    return list(found.values())


def skill(column: Comparable, answers: pl.Series) -> float | None:
    """Return which share of the wrong guesses of *answers* one avoids who knows *column* only.

    Half of the rows say what to guess for each value (or range of values: 64 of about equal numbers of rows), the other
    half counts how often that is wrong, and the reverse; without the column, the guess is always the same. So a column
    that says nothing has a skill around 0, however many values it has, and so has an identifier.

    Args:
        column: What is known, of the same rows as *answers*.
        answers: Texts (classes): a guess is right or wrong; or floats: guesses are off by the square of the distance
            between ranks, so that a few extreme answers do not decide.

    Returns:
        At most 1.0; below 0 when the column misleads; None when guesses without it are wrong in fewer than 50 rows.

    Source:
        L. Goodman and W. Kruskal, Measures of association for cross classifications (λ), JASA 49 (1954), out of sample.
    """
    group = pl.col(_GROUP)
    if column.kind == "number" and column.different > _BINS:
        group = (group.rank("min") * _BINS / pl.len()).floor()
    is_class = answers.dtype == pl.String
    answer = pl.col(_ANSWER) if is_class else pl.col(_ANSWER).rank() / pl.len()
    rows = pl.DataFrame({_GROUP: column.values, _ANSWER: answers}).filter(pl.col(_ANSWER).is_not_null())
    rows = rows.select(group, answer, (pl.int_range(pl.len(), dtype=pl.UInt64).hash(1) % 2).alias(_FOLD))
    least = _LEAST_ERRORS if is_class else 0.0
    if rows.height < 2 * _LEAST_ERRORS:
        return None
    with_it, without = _errors(rows, [_GROUP], is_class=is_class), _errors(rows, [], is_class=is_class)
    return 1 - with_it / without if without > least else None


def _errors(rows: pl.DataFrame, known: list[str], *, is_class: bool) -> float:
    """Return by how much all rows are guessed wrong by those of the other half that are equal in what is *known*."""
    other_half = (1 - pl.col(_FOLD)).alias(_FOLD)
    best = pl.col(_ANSWER).mode().sort().first() if is_class else pl.col(_ANSWER).mean()
    by_half = rows.select(other_half, *known, _ANSWER)
    usual = by_half.group_by(_FOLD).agg(best.alias("usual"))
    guessed = rows.join(usual, on=_FOLD, how="left")
    if known:
        special = by_half.group_by(_FOLD, *known).agg(best.alias("special"))
        guessed = guessed.join(special, on=[_FOLD, *known], how="left", nulls_equal=True)
        guessed = guessed.with_columns(pl.coalesce("special", "usual").alias("usual"))
    wrong = pl.col(_ANSWER) != pl.col("usual") if is_class else (pl.col(_ANSWER) - pl.col("usual")) ** 2
    return float(guessed.select(wrong.sum()).item())
