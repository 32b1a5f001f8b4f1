"""Two classifiers on the same attacks of kinds that neither had met."""

import numpy as np
import polars as pl

from traffic.columns import KIND, NORMAL

RARE = 20
"""Kinds with fewer rows are shown together; each still counts for itself in the means."""


def means(found: pl.DataFrame, name: str) -> tuple[float, float, float]:
    """Return three shares between 0 and 1 of the column *name*, which is true where an attack was called.

    They are the share of attacks found, as the mean over kinds; the share of normal rows called attacks; and balanced
    accuracy, the mean of the first and of 1 minus the second.
    """
    of_kinds = found.group_by(KIND).agg(pl.col(name).mean())
    alarms = of_kinds.filter(pl.col(KIND) == NORMAL)[name].item()
    attacks = float(of_kinds.filter(pl.col(KIND) != NORMAL).sort(KIND)[name].mean())
    return attacks, alarms, (attacks + 1 - alarms) / 2


def attacks_found(found: pl.DataFrame, name: str, *, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Return the share of attacks found, as the mean over kinds, and its 95 % interval: kinds are drawn anew."""
    of_kinds = found.filter(pl.col(KIND) != NORMAL).group_by(KIND).agg(pl.col(name).mean()).sort(KIND)[name].to_numpy()
    drawn = np.random.default_rng(seed).choice(of_kinds, (draws, len(of_kinds))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(of_kinds.mean()), float(low), float(high)


def gain(found: pl.DataFrame, *, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Return by how much balanced accuracy is higher in "detector" than in "plain", and its 95 % interval.

    Kinds of attacks are drawn anew as wholes, because it is other kinds that are to come; so are normal rows. Both
    classifiers are taken on the same draw, so that what is hard for both does not widen the interval.
    """
    better = found.with_columns(gain=pl.col("detector").cast(pl.Float64) - pl.col("plain").cast(pl.Float64))
    attacks = better.filter(pl.col(KIND) != NORMAL).group_by(KIND).agg(pl.col("gain").mean()).sort(KIND)["gain"]
    alarms = better.filter(pl.col(KIND) == NORMAL)["gain"].to_numpy()
    rng = np.random.default_rng(seed)
    drawn_attacks = rng.choice(attacks.to_numpy(), (draws, len(attacks))).mean(axis=1)
    up, down = (alarms > 0).mean(), (alarms < 0).mean()
    drawn = rng.multinomial(len(alarms), [up, down, max(0.0, 1 - up - down)], size=draws)
    drawn_alarms = (drawn[:, 0] - drawn[:, 1]) / len(alarms)
    low, high = np.quantile((drawn_attacks - drawn_alarms) / 2, [0.025, 0.975])
    return float((attacks.mean() - alarms.mean()) / 2), float(low), float(high)


def by_kind(found: pl.DataFrame) -> pl.DataFrame:
    """Return per kind of attack its rows and the shares found by both, the most frequent first; rare ones together."""
    names = pl.when(pl.len().over(KIND) < RARE).then(pl.lit("rare kinds")).otherwise(pl.col(KIND)).alias(KIND)
    shares = (
        found.filter(pl.col(KIND) != NORMAL)
        .group_by(names)
        .agg(pl.len().alias("rows"), pl.col("plain").mean(), pl.col("detector").mean())
    )
    return shares.sort(["rows", KIND], descending=[True, False])
