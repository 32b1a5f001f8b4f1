"""Small artifacts are read, large ones are mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from filiera.adapters.codecs.arrow_tables import ArrowCodec
from filiera.adapters.codecs.mapping import MAPPED_FROM_BYTES, content
from filiera.adapters.codecs.numpy_arrays import NumpyArrayCodec
from filiera.adapters.codecs.pandas_frames import PandasCodec
from filiera.adapters.codecs.polars_frames import PolarsFrameCodec, PolarsSeriesCodec
from filiera.ports import Codec
from filiera.testing.codec import MemoryArtifact


class WatchedArtifact(MemoryArtifact):
    """Remembers which way it was read."""

    def __init__(self, folder: Path, content: bytes = b"") -> None:
        super().__init__(folder, content)
        self.ways: list[str] = []

    def bytes(self) -> bytes:
        self.ways.append("bytes")
        return super().bytes()

    def path(self) -> Path:
        self.ways.append("path")
        return self._written("artifact", self.stream.getvalue())


def _frame(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"x": np.random.default_rng(0).random(rows), "s": ["a"] * rows})


@pytest.mark.parametrize(
    ("codec", "make"),
    [
        (NumpyArrayCodec(), lambda rows: np.arange(rows)),
        (PolarsFrameCodec(), _frame),
        (PolarsSeriesCodec(), lambda rows: _frame(rows)["x"]),
        (PandasCodec(), lambda rows: pd.DataFrame({"x": np.arange(rows)})),
        (ArrowCodec(), lambda rows: pa.table({"x": np.arange(rows)})),
    ],
    ids=lambda part: part.name if hasattr(part, "name") else "",
)
@pytest.mark.parametrize(("rows", "way"), [(10, "bytes"), (50_000, "path")], ids=["small", "large"])
def test_no_file_is_made_for_a_small_value(codec: Codec, make: Any, rows: int, way: str, tmp_path: Path) -> None:
    """What lies inline in its record need not become a file to be decoded; what is large is not copied into memory."""
    artifact = WatchedArtifact(tmp_path)
    codec.encode(make(rows), artifact)
    assert len(codec.decode(artifact)) == rows
    assert artifact.ways == [way]


def test_the_limit_is_where_mapping_begins(tmp_path: Path) -> None:
    """One byte less is read."""
    small, large = (MemoryArtifact(tmp_path, b"x" * size) for size in (MAPPED_FROM_BYTES - 1, MAPPED_FROM_BYTES))
    assert (type(content(small)), isinstance(content(large), Path)) == (bytes, True)
