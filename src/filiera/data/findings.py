"""What is worth a look in a profile, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from filiera.data.profile import Column, Profile

LEAK = 0.95
"""A column that alone avoids so many of the wrong guesses is said to leak the target: noise avoids none."""
_SAME = 0.98
_FEW_ROWS = 50
_SHOWN = 6
_LONG_GAP = 100
"""A stretch without values is worth a look when it is so many times as long as usual."""
_IDENTIFIERS = ("string", "int64", "uint64", "int32", "uint32", "binary")


def findings(profile: Profile) -> Iterator[str]:
    """Yield sentences, the gravest first.

    >>> column = Column(name="a", type="float64", kind="number", nulls=0, nan=1)
    >>> list(findings(Profile(title="t", rows=3, columns=(column,))))
    ['NaN: a (1 rows).']
    """
    yield from _about_the_target(profile)
    yield from _about_values(profile)
    if profile.repeated_rows:
        about = "about " if profile.repeated_error else ""
        yield f"Repeated rows: {about}{profile.repeated_rows:,} of {profile.rows:,} equal an earlier row."
    yield from _about_columns(profile)


def _about_the_target(profile: Profile) -> Iterator[str]:
    leaks = [column for column in profile.columns if (column.skill or 0) >= LEAK]
    if leaks:
        names = _names(f"{column.name} ({100 * (column.skill or 0):.3g} %)" for column in leaks)
        yield (
            f"Says the answer? Guessing {profile.target} by one column alone avoids nearly all wrong guesses: {names}. "
            "Would it be known at prediction?"
        )
    rare = [bar for bar in profile.classes if bar.count < _FEW_ROWS]
    if rare:
        yield f"Rare in {profile.target}: {_names(f'{bar.label} ({bar.count:,} rows)' for bar in rare)}."


def _about_values(profile: Profile) -> Iterator[str]:
    columns = profile.columns
    for what, found in (
        ("NaN", [(c, c.nan) for c in columns if c.nan]),
        ("Infinite", [(c, c.infinite) for c in columns if c.infinite]),
    ):
        if found:
            yield f"{what}: {_names(f'{column.name} ({count:,} rows)' for column, count in found)}."
    missing = sorted((c for c in columns if c.nulls), key=lambda c: -c.nulls)
    if missing:
        yield f"Missing values: {_names(f'{c.name} ({100 * c.nulls / profile.rows:.3g} %)' for c in missing)}."
    empty = [c for c in columns if c.empty and c.type == "string"]
    if empty:
        yield f"Empty texts: {_names(f'{c.name} ({c.empty:,} rows)' for c in empty)}. Are they missing values?"
    for column in columns:
        gaps = column.gaps
        if gaps and gaps.longest_s and gaps.typical_s and gaps.longest_s > _LONG_GAP * gaps.typical_s:
            usual = f"where {duration(gaps.typical_s)} is usual"
            yield f"Gap in {column.name}: nothing for {duration(gaps.longest_s)} after {gaps.longest_from}, {usual}."


def _about_columns(profile: Profile) -> Iterator[str]:
    constant = [column for column in profile.columns if column.distinct == 1 and not column.nulls]
    if constant:
        yield f"Only one value: {_names(column.name for column in constant)}. Nothing can be learned from it."
    blank = [column for column in profile.columns if profile.rows and column.nulls == profile.rows]
    if blank:
        yield f"No value at all: {_names(column.name for column in blank)}."
    same = [
        one
        for one in profile.associations
        if one.measure != "pearson" and abs(one.value) >= _SAME and profile.target not in (one.first, one.second)
    ]
    if same:
        yield f"Say the same: {_names(f'{one.first} and {one.second} ({one.value:.2f})' for one in same)}."
    keys = [column for column in profile.columns if _is_identifier(column, profile)]
    if keys:
        yield f"Different in every row: {_names(column.name for column in keys)}. An identifier says nothing by itself."


def _is_identifier(column: Column, profile: Profile) -> bool:
    is_own = column.is_unique(profile.rows) and profile.rows > _FEW_ROWS
    return is_own and column.type in _IDENTIFIERS and column.name != profile.target


def duration(seconds: float) -> str:
    """Return a duration for people.

    >>> duration(0.5), duration(90), duration(7200), duration(5 * 86400)
    ('0.5 s', '1.5 min', '2 h', '5 days')
    """
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size * (2 if unit == "days" else 1):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _names(items: Iterable[str]) -> str:
    found = list(items)
    rest = len(found) - _SHOWN
    return ", ".join(found[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
