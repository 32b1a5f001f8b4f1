"""What holds for a table whose columns have certain roles, and for each law a fault that breaks it."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import polars as pl

from filiera.core.check import Check

Spoil = Callable[[pl.DataFrame, random.Random], pl.DataFrame]


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Which column is what, and the checks that follow, by short names."""

    key: str
    time: str
    texts: tuple[str, ...]  #: one of a few values; the first is watched for drift
    number: str  #: a whole number with a least and a greatest value
    flags: tuple[str, ...]  #: exactly one is 1
    total: str  #: made of others
    filled: tuple[str, str]  #: with values in place of nulls, and as it was
    label: str
    features: tuple[str, ...]  #: inputs that do not know the label
    partner: str  #: a key of another table
    is_kept: pl.Expr  #: rows that are not set aside
    checks: Mapping[str, Check]


def _put(
    table: pl.DataFrame, dice: random.Random, column: str, value: pl.Expr, *, among: pl.Expr, most: int = 3
) -> pl.DataFrame:
    """Return the table with another value in a few rows *among* some."""
    rows = table.select(among.arg_true()).to_series().to_list()
    hit = pl.int_range(pl.len()).is_in(dice.sample(rows, dice.randint(1, most)))
    return table.with_columns(pl.when(hit).then(value.cast(table.schema[column])).otherwise(column).alias(column))


def faults(roles: Roles) -> dict[str, tuple[str, Spoil]]:
    """Return by kind the short name of the check that must see it, and what breaks it."""
    watched, (filled, raw) = roles.texts[0], roles.filled
    put = partial(_put, among=roles.is_kept)

    def null(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        return put(table, dice, dice.choice([roles.key, roles.time, *roles.texts]), pl.lit(None))

    def out_of_range(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        return put(table, dice, roles.number, pl.lit(dice.choice([-1, -(2**31), 2**20 + dice.randrange(9)])))

    def unknown(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        wrong = [pl.lit("unheard of"), pl.lit(""), pl.col(watched) + " ", pl.col(watched).str.to_titlecase() + "s"]
        return put(table, dice, watched, dice.choice(wrong))

    def repeated(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        known = roles.is_kept & roles.is_kept.shift(1)
        return _put(table, dice, roles.key, pl.col(roles.key).shift(1), among=known)

    def rows_repeated(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        start = dice.randrange(table.height - 60)
        return pl.concat([table.head(start + 60), table.slice(start + dice.randint(0, 9))])

    def not_one_hot(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        name = dice.choice(roles.flags)
        return put(table, dice, name, dice.choice([1 - pl.col(name), pl.lit(2), pl.lit(None)]))

    def wrong_total(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        return put(table, dice, roles.total, pl.col(roles.total) + dice.choice([-1, 1]) * 10 ** dice.randint(0, 3))

    def changed_by_filling(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        known = roles.is_kept & pl.col(raw).is_not_null()
        return _put(table, dice, filled, pl.col(filled) + 1e-6, among=known)

    def filled_with_another(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        return table.with_columns(pl.col(raw).fill_null(dice.choice([0.0, -1.0, 1e9])).alias(filled))

    def swapped(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        start = dice.randrange(table.height // 2)
        later = table[start : start + table.height // 2].with_columns(pl.col(roles.time).reverse())
        return pl.concat([table.head(start), later, table.slice(start + later.height)])

    def hole(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        at = table[roles.time].unique().sort()
        after = at[dice.randrange(1, len(at) - 1)]
        longer = pl.col(roles.time) + dt.timedelta(days=4000 + dice.randrange(99))
        return table.with_columns(
            pl.when(pl.col(roles.time) >= after).then(longer).otherwise(roles.time).alias(roles.time)
        )

    def stale(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        return table.with_columns(pl.col(roles.time) - dt.timedelta(days=20_000 + dice.randrange(999)))

    def lost(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        return table.head(max(1, round(table.height * dice.uniform(0, 0.75))))

    def more_of_one(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        kept = dice.uniform(0.2, 0.5)
        other = pl.Series([dice.random() > kept for _ in range(table.height)])
        rarest = table[watched].value_counts().sort("count")[watched][0]
        return table.with_columns(pl.when(other).then(pl.lit(rarest)).otherwise(watched).alias(watched))

    def knows_the_label(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        name = dice.choice(roles.features)
        known = pl.col(roles.label).cast(pl.Int64) * dice.choice([1, 7]) + dice.choice([0, 3])
        return table.with_columns(known.cast(table.schema[name]).alias(name))

    def unknown_partner(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        wrong = pl.lit("nowhere") if table.schema[roles.partner] == pl.String else pl.lit(10**6 + dice.randrange(99))
        return put(table, dice, roles.partner, wrong)

    def other_type(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        return table.with_columns(pl.col(roles.number).cast(dice.choice([pl.String, pl.Float64])))

    def column_gone(table: pl.DataFrame, dice: random.Random) -> pl.DataFrame:
        return table.drop(roles.number)

    return {
        "null where none may be": ("nulls", null),
        "out of range": ("range", out_of_range),
        "unknown value": ("set", unknown),
        "key repeated": ("key", repeated),
        "rows repeated": ("key", rows_repeated),
        "flags not one hot": ("one hot", not_one_hot),
        "total is wrong": ("again", wrong_total),
        "value changed by imputing": ("imputed", changed_by_filling),
        "imputed with something else": ("imputed", filled_with_another),
        "times in the wrong order": ("order", swapped),
        "hole in time": ("gaps", hole),
        "stale": ("fresh", stale),
        "rows lost": ("rows", lost),
        "more of one kind": ("drift", more_of_one),
        "feature that knows the label": ("leakage", knows_the_label),
        "unknown partner": ("foreign key", unknown_partner),
        "another type": ("types", other_type),
        "column gone": ("types", column_gone),
    }
