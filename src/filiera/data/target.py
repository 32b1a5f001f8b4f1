"""What the columns of a table say of one of them: the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from filiera.core.value import dataclass
from filiera.data.association import PAIR_ROWS, Comparable, correlation, correlation_ratio, cramers_v, skill
from filiera.data.columns import Seen
from filiera.data.distribution import LONGEST_TEXT, Group, comparable, scaled
from filiera.data.profile import Bar, Column, Measure
from filiera.data.tally import as_number

_MAX_CLASSES = 6
_MAX_NUMBERS_AS_CLASSES = 12
_MAX_COMPARED_VALUES = 2000
"""Categories with more values are not compared with the classes: the table would be mostly ones."""
_MISSING = "(missing)"
_OTHER = "(other)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """The target in the rows of the sample."""

    name: str
    classes: tuple[Bar, ...]  #: none for a numeric target
    measure: Measure
    values: pl.Series  #: of the sample: labels of classes, or finite floats

    @classmethod
    def of(cls, seen: Seen, sample: pl.DataFrame, *, rows: int) -> Answers:
        """Return the answers to be guessed of a table with so many *rows*."""
        column, raw = seen.column, sample.get_column(seen.column.name)
        if column.kind != "category" and (column.distinct or 0) > _MAX_NUMBERS_AS_CLASSES:
            value = comparable(pl.col(column.name), raw.dtype, column.kind)
            return cls(name=column.name, classes=(), measure="spearman", values=sample.select(value).to_series())
        texts = _texts(raw).fill_null(_MISSING)
        classes = _classes(seen, texts, rows=rows)
        kept = [bar.label for bar in classes]
        label = pl.when(pl.col("value").is_in(kept)).then(pl.col("value")).otherwise(pl.lit(_OTHER))
        labels = texts.alias("value").to_frame().select(label).to_series()
        return cls(name=column.name, classes=classes, measure="cramers_v", values=labels)

    def against(self, seen: Sequence[Seen], sample: pl.DataFrame) -> tuple[Column, ...]:
        """Return the columns, with what they say of the target."""
        split = self._split(seen, sample) if self.classes else {}
        few = sample.with_columns(self.values.alias(_ANSWERS))
        few = few.sample(PAIR_ROWS, seed=0) if few.height > PAIR_ROWS else few
        return tuple(self._against(one, split.get(one.column.name), few) for one in seen)

    def _against(self, seen: Seen, split: Mapping[Group, list[int]] | None, few: pl.DataFrame) -> Column:
        column = seen.column
        if split is not None:
            column = replace(column, bars=_split_bars(seen, split))
        if column.name == self.name or seen.shape is None:
            return column
        known = Comparable.of(few.get_column(column.name), column.kind)
        answers = few.get_column(_ANSWERS)
        if self.classes:
            association = None if split is None else cramers_v(list(split.values()))
        else:
            association = _with_numbers(known, answers)
        return replace(column, association=association, skill=None if known is None else skill(known, answers))

    def _split(self, seen: Sequence[Seen], sample: pl.DataFrame) -> dict[str, dict[Group, list[int]]]:
        """Return for each column the rows of the sample per group and class; missing values are a group."""
        chosen = [one for one in seen if one.shape is not None and (one.column.distinct or 0) <= _limit(one)]
        plans = []
        for one in chosen:
            assert one.shape is not None
            value = comparable(pl.col(one.column.name), sample.schema[one.column.name], one.column.kind)
            both = sample.lazy().select(value.alias("value"), self.values.alias("class"))
            plans.append(both.select(one.shape.group.alias("group"), "class").group_by("group", "class").len("rows"))
        places = {bar.label: i for i, bar in enumerate(self.classes)}
        found: dict[str, dict[Group, list[int]]] = {}
        for one, counted in zip(chosen, pl.collect_all(plans), strict=True):
            table = found.setdefault(one.column.name, {})
            for group, label, rows in counted.sort("group", "class").rows():
                table.setdefault(group, [0] * len(places))[places[label]] = rows
        return found


_ANSWERS = "\x00answers"


def _limit(seen: Seen) -> float:
    return _MAX_COMPARED_VALUES if seen.column.kind == "category" else float("inf")


def _texts(values: pl.Series) -> pl.Series:
    if values.dtype == pl.Duration:  # which Polars does not write
        values = values.to_frame().select(as_number(pl.col(values.name), values.dtype)).to_series()
    return values.cast(pl.String).str.slice(0, LONGEST_TEXT)


def _classes(seen: Seen, texts: pl.Series, *, rows: int) -> tuple[Bar, ...]:
    exact = seen.survey.counts
    if exact is None:
        counts = texts.alias("value").value_counts(name="rows")
        found = dict(zip(counts["value"], scaled(counts["rows"].to_list(), rows), strict=True))
    else:
        found = {}
        for text, count in zip(_texts(exact["value"]), exact["rows"], strict=True):
            found[text] = found.get(text, 0) + count
        if seen.column.nulls:
            found[_MISSING] = found.get(_MISSING, 0) + seen.column.nulls
    pairs = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    kept = pairs if len(pairs) <= _MAX_CLASSES else pairs[: _MAX_CLASSES - 1]
    rest = sum(count for _, count in pairs[len(kept) :])
    return tuple(Bar(label=label, count=count) for label, count in kept + ([(_OTHER, rest)] if rest else []))


def _split_bars(seen: Seen, split: Mapping[Group, list[int]]) -> tuple[Bar, ...]:
    """Return the bars of a column, each split among the classes as its rows in the sample are."""
    whole = [sum(counts) for counts in zip(*split.values(), strict=True)]
    bars = []
    for bar, group in zip(seen.column.bars, seen.groups, strict=True):
        by_class = scaled(split.get(group, whole), bar.count)
        bars.append(replace(bar, by_class=tuple(by_class)))
    return tuple(bars)


def _with_numbers(known: Comparable | None, answers: pl.Series) -> float | None:
    """Return how strongly a column goes with a numeric target, 0 to 1."""
    if known is None:
        return None
    both = pl.DataFrame({"known": known.values, "answer": answers}).drop_nulls()
    if known.kind == "category":
        return correlation_ratio(both["answer"].rank(), both["known"])
    found = correlation(both["known"].rank(), both["answer"].rank())
    return None if found is None else abs(found)
