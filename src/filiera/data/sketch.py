"""What one pass can keep of a table of any size in little memory: rows drawn at random, counts, distinct values.

All of it depends on the rows and their order alone: not on how they come in batches, nor on chance.
"""

from __future__ import annotations

import math

import polars as pl

from filiera.core.value import dataclass

SEED = 20261
_HIGHEST = 2**64 - 1
_KEY = "\x00key"


class RowSample:
    """Rows drawn at random without replacement, each subset of the table as likely as any other; all, if it has few.

    Each row gets a random number by its place in the table, and those with the least numbers are kept. What is kept
    may therefore be halved at any time and is a sample still.

    Source:
        Bottom-k sampling: E. Cohen and H. Kaplan, Summarizing data using bottom-k sketches, PODC 2007.

    >>> sample = RowSample(rows=2, size_bytes=1000)
    >>> sample.add(pl.DataFrame({"a": [1, 2]}))
    >>> sample.is_whole, sample.frame().rows()
    (True, [(1,), (2,)])
    """

    def __init__(self, *, rows: int, size_bytes: int) -> None:
        self._rows = rows
        self._size_bytes = size_bytes
        self._seen = 0
        self._limit = _HIGHEST
        self._parts: list[pl.DataFrame] = []
        self._held = 0

    @property
    def is_whole(self) -> bool:
        """Tell whether every row is kept."""
        self._shrink()
        return self._limit == _HIGHEST

    def add(self, batch: pl.DataFrame) -> None:
        """Look at the next rows of the table."""
        places = pl.int_range(self._seen, self._seen + batch.height, dtype=pl.UInt64, eager=True)
        self._seen += batch.height
        numbers = places.hash(SEED)
        marked = batch.hstack([numbers.alias(_KEY)])
        kept = marked if self._limit == _HIGHEST else _by_itself(marked.filter(numbers < self._limit))
        self._parts.append(kept)
        self._held += kept.height
        if self._held > self._rows + self._rows // 4:
            self._shrink()

    def frame(self) -> pl.DataFrame:
        """Return the rows that are kept, in the order of the table."""
        self._shrink()
        if not self._parts:
            return pl.DataFrame()
        return self._parts[0].drop(_KEY)

    def _shrink(self) -> None:
        if not self._parts:
            return
        found = pl.concat(self._parts)
        keep = min(self._rows, found.height)
        bytes_per_row = found.estimated_size() / max(1, found.height)
        while keep > 1 and keep * bytes_per_row > self._size_bytes:
            keep //= 2
        if keep < found.height:
            self._rows = keep
            self._limit = int(found[_KEY].sort()[keep])
            found = _by_itself(found.filter(pl.col(_KEY) < self._limit))
        self._parts, self._held = [found], found.height


def _by_itself(rows: pl.DataFrame) -> pl.DataFrame:
    """Return a copy whose texts are its own: rows that were filtered hold all texts of the batch they come from."""
    texts = [name for name, dtype in rows.schema.items() if dtype == pl.String]
    return rows.with_columns(pl.concat_str(name, pl.lit("")) for name in texts) if texts else rows


@dataclass(frozen=True, slots=True)
class Distinct:
    """How many different values there are."""

    count: int
    error: float  #: standard error as a share of *count*; 0.0: exact


class DistinctSketch:
    """How many different hashes there are, and how often each occurs, from the least of them.

    Up to *size* different hashes are counted exactly. Of more, those below a limit are counted, which is halved as soon
    as there are more than *size*: a random sample of the *values* (not of rows), with the exact number of rows of each.

    Source:
        P. Flajolet, On adaptive sampling, Computing 43 (1990); the counts as in P. Gibbons, Distinct sampling for
        highly-accurate answers to distinct values queries and event reports, VLDB 2001.

    >>> sketch = DistinctSketch(size=16)
    >>> sketch.add(pl.Series([5, 5, 9], dtype=pl.UInt64))
    >>> sketch.estimate()
    Distinct(count=2, error=0.0)
    """

    def __init__(self, *, size: int) -> None:
        self._size = size
        self._rows = 0
        self._limit = 2**64
        self._kept = pl.DataFrame(schema={"hash": pl.UInt64, "rows": pl.UInt64})
        self._new: list[pl.DataFrame] = []
        self._held = 0

    def add(self, hashes: pl.Series, rows: pl.Series | None = None) -> None:
        """Look at the hashes of further rows, or of values and the number of *rows* that hold each."""
        counts = ones(len(hashes)) if rows is None else rows.cast(pl.UInt64)
        self._rows += int(counts.sum())
        # In slices, since the first ones set a limit that most hashes of the others are above.
        for new in pl.DataFrame({"hash": hashes, "rows": counts}).iter_slices(4 * self._size):
            below = new if self._limit == 2**64 else new.filter(pl.col("hash") < self._limit)
            self._new.append(below)
            self._held += below.height
            if self._held > 2 * self._size:
                self._merge()

    def estimate(self) -> Distinct:
        """Return how many different hashes were seen.

        Of more than *size*, the better of two estimates is returned. The number of the k hashes below a share p of all
        possible ones has a standard error of ``sqrt((1 - p) / k)``. The rows divided by the mean number of rows of a
        value has, with *cv* the deviation of these numbers over their mean, ``cv / sqrt(k)``: no error where each value
        is different.
        """
        self._merge()
        k, mean, deviation = self._means()
        if self._limit == 2**64:
            return Distinct(k, 0.0)
        share = self._limit / 2**64
        if not k or deviation >= mean * math.sqrt(1 - share):
            return Distinct(min(self._rows, round(k / share)), math.sqrt((1 - share) / max(1, k)))
        return Distinct(min(self._rows, max(k, round(self._rows / mean))), deviation / mean / math.sqrt(k))

    def repeated_share(self) -> tuple[float, float]:
        """Return which share of the rows holds what an earlier one holds, 0 to 1, and its standard error."""
        self._merge()
        k, mean, deviation = self._means()
        if not k:
            return 0.0, 0.0
        return 1 - 1 / mean, 0.0 if self._limit == 2**64 else deviation / (math.sqrt(k) * mean * mean)

    def _means(self) -> tuple[int, float, float]:
        counts = self._kept["rows"]
        return len(counts), float(counts.mean() or 0.0), float(counts.std() or 0.0)  # type: ignore[arg-type]

    def _merge(self) -> None:
        if not self._new:
            return
        found = pl.concat([self._kept, *self._new]).group_by("hash").agg(pl.col("rows").sum())
        while found.height > self._size:
            self._limit //= 2
            found = found.filter(pl.col("hash") < self._limit)
        self._kept, self._new, self._held = found, [], found.height


def ones(length: int) -> pl.Series:
    """Return so many times the number 1."""
    return pl.Series([1], dtype=pl.UInt64).new_from_index(0, length)


class ValueCounter:
    """How many rows hold each value, as long as there are few different ones.

    >>> counter = ValueCounter(most=2)
    >>> counter.add(pl.Series(["a", "b", "a"])), dict(sorted(counter.counts.rows()))
    (True, {'a': 2, 'b': 1})
    >>> counter.add(pl.Series(["c"]))
    False
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._counts: pl.DataFrame | None = None

    def add(self, values: pl.Series) -> bool:
        """Look at further values, none of them null; return False, and forget them, if there are too many different."""
        # Cheaper than counting all values of a column of which each is different.
        if self._counts is None and values.head(4 * self._most).n_unique() > self._most:
            return False
        found = values.alias("value").value_counts(name="rows")
        counts = pl.DataFrame([found["value"], found["rows"].cast(pl.UInt64)])
        if self._counts is not None:
            counts = pl.concat([self._counts, counts]).group_by("value").agg(pl.col("rows").sum())
        if counts.height > self._most:
            return False
        self._counts = _by_itself(counts)
        return True

    @property
    def counts(self) -> pl.DataFrame | None:
        """Return the columns ``value`` and ``rows``, in no order; None when nothing was looked at."""
        return self._counts
