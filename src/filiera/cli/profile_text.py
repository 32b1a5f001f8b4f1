"""A profile on the terminal: a line per column with a small histogram, and what is worth a look."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from filiera.cli.output import shortened, table_text
from filiera.data.plots import number, share
from filiera.data.profile import Column, Profile

_BARS = 24
_BLOCKS = "▁▂▃▄▅▆▇█"
_VALUE_CHARS = 18
_SHOWN_VALUES = 3
_PAIRS = 12
_NAME_CHARS = 32


def profile_text(profile: Profile) -> str:
    """Return *profile* as lines for the terminal."""
    parts = [_head(profile)]
    if profile.columns:
        rows = [_line(column, profile) for column in profile.columns]
        names = [name for name in rows[0] if any(row[name] for row in rows)]
        right = [name for name in names if name not in ("column", "type", "distribution")]
        parts.append(table_text(names, [[row[name] for name in names] for row in rows], right=right))
    if profile.classes:
        total = sum(bar.count for bar in profile.classes) or 1
        told = (f"{shortened(bar.label, _NAME_CHARS)} {share(bar.count / total)}" for bar in profile.classes)
        parts.append(f"{profile.target}: {', '.join(told)}")
    if profile.associations:
        parts.append(_pairs(profile))
    if profile.findings:
        parts.append("\n".join(["worth a look:", *(f"- {finding}" for finding in profile.findings)]))
    if estimates := "\n".join(_estimates(profile)):
        parts.append(estimates)
    return "\n\n".join(parts)


def histogram_line(counts: Sequence[int]) -> str:
    """Return a bar per number, as high as it is; 24 at most: neighbours are added up.

    >>> histogram_line([0, 1, 50, 100])
    ' ▁▄█'
    """
    width = min(len(counts), _BARS)
    edges = [place * len(counts) // width for place in range(width + 1)] if width else [0]
    counts = [sum(counts[start:end]) for start, end in itertools.pairwise(edges)]
    most = max(counts, default=0)
    return "".join(" " if not count else _BLOCKS[max(0, -(-count * len(_BLOCKS) // most) - 1)] for count in counts)


def _head(profile: Profile) -> str:
    repeated = profile.repeated_rows
    about = "~" if profile.repeated_error else ""
    told = [f"{profile.rows:,} rows × {len(profile.columns):,} columns", f"{profile.missing_cells:,} missing cells"]
    told += [] if repeated is None else [f"{about}{repeated:,} repeated rows"]
    return f"{profile.title}: {', '.join(told)}" if profile.title else ", ".join(told)


def _line(column: Column, profile: Profile) -> dict[str, str]:
    rows = profile.rows or 1
    median = _end(column.quantiles[2]) if column.quantiles else ""
    log = " log scale" if column.scale == "log" else ""
    bars = [f"▕{histogram_line([bar.count for bar in column.bars])}▏{log}"] if column.scale != "values" else []
    answer = {}
    if profile.target:
        answer = {_with(profile): "" if column.association is None else f"{column.association:.2f}"}
    return {
        "column": shortened(column.name, _NAME_CHARS),
        "type": shortened(column.type, 20),
        "missing": share(column.nulls / rows) if column.nulls else "",
        "distinct": "" if column.distinct is None else f"{'~' if column.distinct_error else ''}{column.distinct:,}",
        "least": _end(column.minimum),
        "median": f"~{median}" if median and column.is_sampled else median,
        "most": _end(column.maximum),
        **answer,
        "distribution": " ".join([*bars, ", ".join(_values(column, rows))]),
    }


def _with(profile: Profile) -> str:
    return f"with {shortened(profile.target or '', 16)}"


def _end(value: str | float | int | None) -> str:
    if value is None:
        return ""
    return shortened(value, 16) if isinstance(value, str) else number(value)


def _values(column: Column, rows: int) -> Iterator[str]:
    """Yield the most frequent values, or what else is to be said in some words."""
    if column.is_sensitive:
        yield "(hidden)"
    elif column.scale == "values":
        most = sorted(column.bars, key=lambda bar: -bar.count)[:_SHOWN_VALUES]
        about = "~" if column.is_sampled else ""
        yield from (f"{shortened(bar.label, _VALUE_CHARS)}: {about}{share(bar.count / rows)}" for bar in most)
        if column.distinct and column.distinct > len(most):
            yield "…"
    elif column.zeros:
        yield f"0: {share(column.zeros / rows)}"
    if column.negative and column.scale != "values":
        yield f"<0: {share(column.negative / rows)}"
    if column.not_finite:
        yield f"NaN, ∞: {share(column.not_finite / rows)}"
    if column.lengths and column.kind == "other":
        yield f"length {column.lengths.shortest:,} to {column.lengths.longest:,}"


def _pairs(profile: Profile) -> str:
    found = [one for one in profile.associations if one.measure != "pearson"]
    found.sort(key=lambda one: -abs(one.value))
    rows = [[one.first, one.second, one.measure.replace("_", " "), f"{one.value:.2f}"] for one in found[:_PAIRS]]
    more = f"\n… {len(found) - _PAIRS:,} more: --html FILE, or --json" if len(found) > _PAIRS else ""
    return table_text(["goes with", "", "measure", "value"], rows, right=("value",)) + more


def _estimates(profile: Profile) -> Iterator[str]:
    """Yield what figures with ~ are worth; all others are exact."""
    if profile.sample_rows and any(column.is_sampled for column in profile.columns):
        off = 100 * profile.sampling_error
        rows = f"{profile.sample_rows:,} rows drawn at random"
        yield f"~ of a distribution: from {rows}; shares and ranks are off by {off:.2g} points at most, in 99 of 100."
    errors = [column.distinct_error for column in profile.columns if column.distinct_error]
    if errors:
        yield f"~ of distinct values: standard error up to {100 * max(errors):.2g} %."
