"""What is resampled: rows that stand for themselves, or groups of rows that hang together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Literal

import numpy as np

from filiera.core.value import dataclass
from filiera.model.answers import Codes, Floats

MOST = 1_000
"""So many units are resampled at most. Rows beyond are dealt into as many blocks at random: rows that are independent
make blocks that are, and the cost stays bounded."""


@dataclass(frozen=True, slots=True)
class Units:
    """Which unit each row belongs to. Units are independent of each other; rows of one unit need not be.

    >>> Units.of_rows(3).count, Units.of_clusters(["a", "b", "a"]).members.tolist()
    (3, [0, 1, 0])
    """

    members: Codes  #: unit of each row, 0 to count - 1, shape ``(n,)``
    count: int
    kind: Literal["rows", "clusters", "blocks"]
    told: str = ""  #: how to say it: "40 clusters"
    inflation: float = 1.0  #: times the variance that independent units would have: what still hangs together

    @classmethod
    def of_rows(cls, n: int) -> Units:
        """Return units of one row each."""
        return cls(np.arange(n), n, "rows")

    @classmethod
    def of_clusters(cls, values: Iterable[Hashable]) -> Units:
        """Return a unit for each different value of *values*, shape ``(n,)``; None is a value like others."""
        places: dict[Hashable, int] = {}
        members = np.fromiter((places.setdefault(value, len(places)) for value in values), dtype=np.int64)
        return cls(members, len(places), "clusters", f"{len(places):,} clusters")

    def take(self, rows: Codes) -> Units:
        """Return the units of some *rows*; those without a row are gone."""
        if self.kind == "rows":
            return Units.of_rows(len(rows))
        different, members = np.unique(self.members[rows], return_inverse=True)
        told = self.told.replace(f"{self.count:,}", f"{len(different):,}", 1)
        return Units(members.astype(np.int64), len(different), self.kind, told, self.inflation)

    def sums(self, columns: Floats) -> Floats:
        """Return the sums of *columns*, shape ``(n, q)``, over each unit, shape ``(count, q)``."""
        if self.kind == "rows":
            return columns
        found = [np.bincount(self.members, column, minlength=self.count) for column in columns.T]
        return np.stack(found, axis=1) if found else np.zeros((self.count, 0))

    def bounded(self, columns: Floats, seed: int) -> Floats:
        """Return ``sums``, of at most 1,000 units: more of them are dealt into blocks at random."""
        sums = self.sums(columns)
        if len(sums) <= MOST:
            return sums
        order = np.random.Generator(np.random.PCG64(seed)).permutation(len(sums))
        starts = np.linspace(0, len(sums), MOST, endpoint=False).astype(np.int64)
        blocks: Floats = np.add.reduceat(sums[order], starts, axis=0)
        return blocks

    def variance(self, pulls: Floats) -> Floats:
        """Return the variance of the means of *pulls*, shape ``(n, m)``, all 0; NaN of one unit.

        Source:
            Linearisation with the ultimate clusters of Hansen, Hurwitz and Madow (1953).
        """
        if self.count < 2:
            return np.full(pulls.shape[1], np.nan)
        sums = self.sums(pulls)
        spread = np.square(sums - sums.mean(axis=0)).sum(axis=0)
        scale = self.inflation * self.count / (self.count - 1) / len(self.members) ** 2
        return np.asarray(spread * scale, dtype=np.float64)

    def effective(self, hits: Floats, whole: Floats) -> Floats:
        """Return on how many independent rows each share would be known as well: columns of 0 and 1, ``(n, k)``.

        At most as many as there are. Where all or none are hits nothing tells how far rows of a unit go together, and
        they are taken to go together completely.

        Source:
            The effective sample size of Korn and Graubard (1998), without its adjustment for degrees of freedom.
        """
        n = whole.sum(axis=0)
        if self.kind == "rows":
            return np.asarray(n, dtype=np.float64)
        sizes = self.sums(whole)
        wholly = _over(n**2, np.square(sizes).sum(axis=0))
        share = _over(hits.sum(axis=0), n)
        variance = self.variance((hits - share * whole) * _over(np.full_like(n, len(whole)), n))
        known = _over(share * (1 - share), variance)
        settled = (share > 0) & (share < 1) & (known > 0)
        return np.asarray(np.minimum(np.where(settled, known, wholly), n), dtype=np.float64)


def _over(part: Floats, whole: Floats) -> Floats:
    usable = np.isfinite(whole) & (whole > 0)
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=usable)
