"""Parquet files of the catalog."""

import polars as pl
import pytest

from filiera.adapters.sources.columnar_file import ParquetSource
from filiera.errors import SourceError
from filiera.testing.source import SourceReaderContract, read

ENTRY = {"type": "parquet", "path": "t.parquet"}


class TestContract(SourceReaderContract):
    @pytest.fixture
    def reader(self):
        return ParquetSource()

    @pytest.fixture
    def entry(self):
        return ENTRY

    @pytest.fixture
    def project(self, tmp_path):
        folder = tmp_path / "project"
        folder.mkdir()
        pl.DataFrame({"a": [1, 2]}).write_parquet(folder / "t.parquet")
        return folder

    def change(self, project):
        pl.DataFrame({"a": [1, 3]}).write_parquet(project / "t.parquet")

    def same(self, one, other):
        return one.equals(other)


def whole_file(tmp_path):
    pl.DataFrame({"a": list(range(1000))}).write_parquet(tmp_path / "t.parquet")
    return (tmp_path / "t.parquet").read_bytes()


@pytest.mark.parametrize(
    "spoil",
    [lambda b: b"hello", lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:-20] + b"\xff" * 12 + b[-8:]],
    ids=["text", "empty", "cut off", "spoilt footer"],
)
def test_broken_file_is_a_clear_error(tmp_path, spoil):
    """What is not a whole Parquet file is told so."""
    (tmp_path / "t.parquet").write_bytes(spoil(whole_file(tmp_path)))
    with pytest.raises(SourceError, match=r"t\.parquet is not a readable Parquet file"):
        read(ParquetSource(), ENTRY, tmp_path)


def test_table_without_rows_is_refused(tmp_path):
    """A table with columns but no rows is not a source."""
    pl.DataFrame({"a": []}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="has no rows"):
        read(ParquetSource(), ENTRY, tmp_path)
