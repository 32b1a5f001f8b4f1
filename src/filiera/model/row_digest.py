"""Names of rows by what is in them, the same on any machine and with any version of a library."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from filiera.core import plain
from filiera.core.digest import digest

Words = NDArray[np.uint64]

_NULL = 0x6E756C6C
_NAN = 0x7FF8000000000000
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def row_digests(frame: pl.DataFrame) -> pl.Series:
    """Return a 64-bit digest of each row's content, all of them different, shape ``(n,)``.

    The order of the columns does not matter, nor how wide the integers or floats are; -0.0 is 0.0, and NaN is NaN. The
    second of equal rows is named by the content and the number 1, the third by the number 2, and so on. Rows whose
    digests agree by chance are told apart as equal rows are: of a million one pair, in one of 40 million frames.

    >>> row_digests(pl.DataFrame({"x": [1, 2, 1]})).n_unique()
    3
    """
    found = np.zeros(frame.height, dtype=np.uint64)
    for name in sorted(frame.columns):
        found = _mixed(found + _mixed(_words(frame[name]) ^ _word(name.encode())))
    times = pl.Series(found).to_frame("row").select(pl.int_range(pl.len(), dtype=pl.UInt64).over("row")).to_series()
    again = times.to_numpy()
    return pl.Series("row", np.where(again > 0, _mixed(found + _mixed(again)), found))


def _words(column: pl.Series) -> Words:
    """Return 64 bits for each value; equal values have equal ones."""
    dtype = column.dtype
    if dtype.is_integer() or dtype == pl.Boolean:
        number = column.cast(pl.UInt64 if dtype == pl.UInt64 else pl.Int64)
    elif dtype.is_temporal():
        number = column.to_physical().cast(pl.Int64)
    elif dtype.is_float():
        return _with_nulls(column, _of_floats(column.cast(pl.Float64).fill_null(0.0).to_numpy()))
    else:
        return _of_things(column)
    return _with_nulls(column, number.fill_null(0).to_numpy().astype(np.uint64, casting="unsafe"))


def _of_floats(values: NDArray[np.float64]) -> Words:
    words = (values + 0.0).view(np.uint64)
    return np.where(np.isnan(values), np.uint64(_NAN), words)


def _of_things(column: pl.Series) -> Words:
    """Return the words of texts, bytes and whatever else, hashing each different one once."""
    if column.dtype in (pl.Categorical, pl.Enum, pl.Decimal):
        column = column.cast(pl.String)
    if column.dtype in (pl.String, pl.Binary):
        different = column.unique()
        contents = [_content(value) for value in different]
        words = pl.Series([_word(content) for content in contents], dtype=pl.UInt64)
        return column.replace_strict(different, words, return_dtype=pl.UInt64).to_numpy()
    return np.array([_word(plain.encode(value)) for value in column.to_list()], dtype=np.uint64)


def _content(value: str | bytes | None) -> bytes:
    if value is None:
        return b"\0null"
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


def _with_nulls(column: pl.Series, words: Words) -> Words:
    mixed = _mixed(words)
    return np.where(column.is_null().to_numpy(), np.uint64(_NULL), mixed) if column.null_count() else mixed


def _word(content: bytes) -> np.uint64:
    return np.uint64(int(digest("row/1", content)[:16], 16))


def _mixed(words: Words) -> Words:
    """Return *words* spread over all 64 bits: the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    mixed = words + np.uint64(_GOLDEN)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_FIRST)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_SECOND)
    return mixed ^ (mixed >> np.uint64(31))
