"""From what one pass saw of a column to what its profile says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from filiera.core.value import dataclass
from filiera.data.column_types import type_name
from filiera.data.distribution import (
    Group,
    Shape,
    Values,
    labels,
    rows_by_group,
    scaled,
    shape_of,
    time_text,
)
from filiera.data.profile import Bar, Column, Gaps
from filiera.data.survey import ColumnSurvey
from filiera.data.tally import Tally, unit_s

_EXACT = 2**51
"""Whole numbers below come back from a division and a multiplication by the same float."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A column after the pass, how its bars were made, and what was seen of it."""

    column: Column
    survey: ColumnSurvey
    shape: Shape | None = None
    groups: tuple[Group, ...] = ()  #: of the bars

    @classmethod
    def of(cls, survey: ColumnSurvey, sample: pl.DataFrame, *, is_whole: bool) -> Seen:
        tally = survey.tally
        distinct = survey.distinct(sample, is_whole=is_whole)
        column = Column(
            name=tally.name,
            type=type_name(tally.dtype),
            kind=tally.kind,
            nulls=tally.counts["nulls"],
            nan=tally.counts["nan"],
            infinite=tally.counts["infinite"],
            zeros=tally.counts["zeros"],
            negative=tally.counts["negative"],
            empty=tally.counts["empty"],
            distinct=None if distinct is None else distinct.count,
            distinct_error=0.0 if distinct is None else distinct.error,
            minimum=_end(tally, tally.minimum),
            maximum=_end(tally, tally.maximum),
            mean=tally.mean,
            deviation=tally.deviation,
            lengths=tally.lengths,
        )
        if not survey.is_sampled:
            return cls(column=column, survey=survey)
        values, is_all = survey.values(sample)
        return cls(column=column, survey=survey)._with_bars(values, is_exact=is_all or is_whole)

    def _with_bars(self, values: Values, *, is_exact: bool) -> Seen:
        column, tally = self.column, self.survey.tally
        total = column.filled(tally.rows)
        quantiles = values.quantiles() if column.kind != "category" else ()
        shape = shape_of(values, quantiles, low=_float(tally, tally.minimum), high=_float(tally, tally.maximum))
        counts = rows_by_group(values, shape, is_exact=is_exact)
        groups, rows = list(counts), list(counts.values())
        if not is_exact:
            rows = scaled([*rows, values.total - sum(rows)], total)[:-1]
        bars = tuple(map(_bar, labels(groups, values, shape), rows))
        described = replace(
            column,
            quantiles=quantiles if column.kind == "number" else tuple(_moments(tally, quantiles)),
            gaps=_gaps(tally, values, is_exact=is_exact),
            bars=bars,
            scale=shape.scale,
            not_shown=total - sum(rows) if shape.scale == "values" else 0,
            is_sampled=not is_exact,
        )
        return replace(self, column=described, shape=shape, groups=tuple(groups))


def _bar(label: str, count: int) -> Bar:
    return Bar(label=label, count=count)


def _end(tally: Tally, value: Any) -> str | float | int | None:
    if value is None or tally.kind != "time":
        return value  # type: ignore[no-any-return]
    return time_text(value, tally.dtype)


def _moments(tally: Tally, seconds: Sequence[float]) -> Iterator[str]:
    """Yield times as texts: of a number of steps too great for a float, thousands are known."""
    for moment in seconds:
        steps, known = moment / unit_s(tally.dtype), 1
        while abs(steps) / known >= _EXACT:
            known *= 1000
        yield time_text(round(steps / known) * known, tally.dtype)


def _float(tally: Tally, value: Any) -> float:
    if value is None:
        return 0.0
    return float(value) * unit_s(tally.dtype) if tally.kind == "time" else float(value)


def _gaps(tally: Tally, values: Values, *, is_exact: bool) -> Gaps | None:
    order, step_s = tally.order, unit_s(tally.dtype)
    if order is None:
        return None
    if order.is_ascending:
        has = order.longest_from is not None
        return Gaps(
            typical_s=None if order.typical is None else order.typical * step_s,
            longest_s=order.longest * step_s if has else None,
            longest_from=time_text(order.longest_from or 0, tally.dtype) if has else None,
            is_ascending=True,
        )
    if not is_exact:
        return None
    moments = values.counts["value"]
    apart = moments.diff()  # of neighbours, of which some are equal
    place = apart.arg_max()
    assert place is not None
    start = round(moments[place - 1] / step_s)
    return Gaps(
        typical_s=float(apart.filter(apart > 0).median()),  # type: ignore[arg-type]
        longest_s=float(apart[place]),
        longest_from=time_text(start, tally.dtype),
        is_ascending=False,
    )
