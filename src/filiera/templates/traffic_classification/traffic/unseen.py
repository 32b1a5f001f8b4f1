"""Attacks of kinds that a model has not met: which rows are kept from it, so that we learn how it takes them.

A random split puts each kind of attack on both sides, and tree models then find 99 of 100. The attacks of tomorrow are
of other kinds. NSL-KDD has no times to split by; leaving whole kinds out is what comes nearest to asking the future.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from traffic.columns import KIND, NORMAL

NEVER_MET = ("teardrop", "nmap", "warezclient")
"""Of each category of attacks that has any (dos, probe, r2l), the rarest kind with at least a hundred rows."""


NOVELTY = "novelty"
MOST_NORMAL, MOST_OF_A_KIND = 6000, 1000


def novelty() -> pl.Expr:
    """Return an expression for what a row is to a model: "normal", "known attack" or "unseen attack"."""
    unseen = pl.when(pl.col(KIND).is_in(NEVER_MET)).then(pl.lit("unseen attack")).otherwise(pl.lit("known attack"))
    return pl.when(pl.col(KIND) == NORMAL).then(pl.lit(NORMAL)).otherwise(unseen).alias(NOVELTY)


def rounds(kinds: pl.Series, count: int) -> NDArray[np.int64]:
    """Return in which of *count* rounds each row is left out, shape ``(n,)``: a kind as a whole, normal rows in turn.

    >>> rounds(pl.Series(["dos", "normal", "probe", "normal", "dos"]), 2).tolist()
    [0, 0, 1, 1, 0]
    """
    turns = pl.DataFrame({"kind": kinds}).with_row_index("at")
    attacks = turns.filter(pl.col("kind") != NORMAL).group_by("kind").agg(rows=pl.len())
    order = attacks.sort(["rows", "kind"], descending=[True, False]).with_row_index("turn")
    turn_of = dict(zip(order["kind"], order["turn"], strict=True))
    is_normal = (kinds == NORMAL).to_numpy()
    found = np.array([turn_of.get(kind, 0) for kind in kinds], dtype=np.int64)
    found[is_normal] = np.arange(is_normal.sum())
    return found % count


def weights(kinds: pl.Series) -> NDArray[np.float64]:
    """Return how much each row counts, shape ``(n,)``, all above 0.

    Attacks together count as much as normal rows together, and each kind of attack as much as any other: a flood of
    thousands of rows is one way to attack, not thousands.

    >>> weights(pl.Series(["normal"] * 6 + ["dos"] * 2 + ["probe"])).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.5, 1.5, 3.0]
    """
    rows = pl.DataFrame({"kind": kinds}).select(pl.len().over("kind")).to_series().to_numpy().astype(np.float64)
    is_attack = (kinds != NORMAL).to_numpy()
    found = np.ones(len(kinds))
    found[is_attack] = 1 / rows[is_attack]
    found[is_attack] *= (~is_attack).sum() / found[is_attack].sum()
    return found


def thinned(rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return at most 6,000 normal rows and 1,000 of each kind of attack, drawn with *seed*, in their former order.

    More of the same flood makes training slower and a forest surer that attacks look like it.
    """
    turn = pl.int_range(pl.len()).shuffle(seed).over(KIND)
    most = pl.when(pl.col(KIND) == NORMAL).then(MOST_NORMAL).otherwise(MOST_OF_A_KIND)
    return rows.filter(turn < most)
