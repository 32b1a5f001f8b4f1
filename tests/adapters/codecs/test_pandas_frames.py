"""Pandas frames and series."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.codecs.pandas_frames import PandasCodec
from filiera.errors import CodecError
from filiera.testing.codec import CodecContract, MemoryArtifact

pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")


def objects(*values: Any) -> Any:
    return pd.DataFrame({"a": pd.Series(list(values), dtype=object)})


class TestPandasCodec(CodecContract):
    def make_codec(self) -> PandasCodec:
        return PandasCodec()

    def make_values(self) -> Sequence[Any]:
        two = {"a": [1, 2]}
        return [
            pd.DataFrame({"i": [1, 2], "f": [1.0, math.nan], "b": [True, False], "s": ["così", None]}),
            pd.DataFrame({"t": pd.to_datetime(["2024-02-29", None]).tz_localize("Europe/Rome")}),
            pd.DataFrame({"i": pd.array([1, None], dtype="Int8"), "s": pd.array(["a", None], dtype="string")}),
            pd.DataFrame({"i": pd.array([1, None], dtype="int64[pyarrow]")}),
            pd.DataFrame({"c": pd.Categorical(["x", None], categories=["y", "x"], ordered=True)}),
            pd.DataFrame({"p": pd.period_range("2020", "2021", freq="Y"), "v": pd.interval_range(0, 2)}),
            pd.DataFrame(two, index=pd.RangeIndex(5, 9, 2)),
            pd.DataFrame(two, index=pd.Index(["p", "q"], name="key")),
            pd.DataFrame(two, index=pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["i", None])),
            pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])),
            pd.DataFrame({0: [1], 1: [2]}),
            objects("text", None),
            objects("text", math.nan),
            objects(b"bytes", None),
            objects(dt.date(2024, 2, 29), None),
            objects(Decimal("1.50"), Decimal("2.25")),
            objects(1, 2),
            objects(True, None),
            objects(None, None),
            pd.DataFrame(),
            pd.DataFrame(index=[3, 4]),
            pd.DataFrame({"a": pd.Series([], dtype="int8")}),
            pd.Series([1.5, 2.5], name="named"),
            pd.Series(["a", None]),
            pd.Series([1], name=0),
        ]

    def assert_same(self, decoded: Any, original: Any) -> None:
        if isinstance(original, pd.Series):
            pd.testing.assert_series_equal(decoded, original)
        else:
            pd.testing.assert_frame_equal(decoded, original)
        assert type(decoded.index) is type(original.index)

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            (objects(1, "x"), "column a"),
            (objects("x", None, math.nan), "'a'"),
            (objects([1, 2], None), "'a'"),
            (objects({"k": 1}, None), "'a'"),
            (objects(object()), "column a"),
            (pd.DataFrame({"a": [1j]}), "column a"),
            (pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}), "column a"),
            (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a'"),
            (pd.Series([1, 2], index=pd.Index(["x", 1], dtype=object)), "column None"),
        ],
        ids=["mixed", "None and NaN", "lists", "dictionaries", "objects", "complex", "sparse", "same name", "index"],
    )
    def test_what_would_change_is_refused(self, value: Any, reason: str) -> None:
        """A column that Arrow cannot hold, or would give back as something else, is named."""
        with pytest.raises(CodecError, match=reason) as caught:
            PandasCodec().encode(value, MemoryArtifact(Path()))
        assert "Convert the column" in caught.value.do

    def test_a_subclass_is_refused(self) -> None:
        """A subclass would lose what it adds."""

        class Special(pd.DataFrame):  # type: ignore[misc,name-defined]
            pass

        with pytest.raises(CodecError, match="subclass"):
            PandasCodec().encode(Special({"a": [1]}), MemoryArtifact(Path()))

    def test_versions_of_the_libraries_are_not_in_the_bytes(self) -> None:
        """An upgrade of pandas or pyarrow does not give old values new digests."""
        import pyarrow as pa

        artifact = MemoryArtifact(Path())
        PandasCodec().encode(pd.DataFrame({"a": [1]}), artifact)
        assert pd.__version__.encode() not in artifact.bytes()
        assert pa.__version__.encode() not in artifact.bytes()
