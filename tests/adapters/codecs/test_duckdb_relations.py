"""Relations of DuckDB as values."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from filiera.adapters.folder_blobs import FolderBlobs
from filiera.engine.artifacts import Artifacts
from filiera.project.plugins import codec_named, find_codec

duckdb = pytest.importorskip("duckdb")


@pytest.mark.parametrize("rows", [0, 3, 300_000])
def test_a_relation_comes_back(tmp_path: Path, rows: int) -> None:
    """What a step asked DuckDB is stored when it is returned, and can be asked again; equal rows are equal bytes."""
    artifacts = Artifacts(FolderBlobs(tmp_path), find_codec, codec_named)
    made = duckdb.sql(f"SELECT range AS n, 'é' || range AS text FROM range({rows})")
    ref = artifacts.put(made)
    assert ref.codec == "duckdb-parquet/1"
    assert artifacts.put(duckdb.sql(f"SELECT range AS n, 'é' || range AS text FROM range({rows})")) == ref
    found = artifacts.get(ref)
    assert found.aggregate("count(*), sum(n)").fetchall() == [(rows, sum(range(rows)) if rows else None)]
    assert found.columns == ["n", "text"]
    assert artifacts.get(ref, lazily=True).select(pl.len()).collect().item() == rows
