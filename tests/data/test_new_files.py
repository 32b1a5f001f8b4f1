"""Steps may make files: rows and bytes go together."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.digest import blob_digest
from filiera.data.new_files import new_files
from filiera.errors import UsageError


@given(contents=st.lists(st.binary(max_size=20), max_size=60))
def test_every_file_is_read_back(contents: list[bytes]) -> None:
    """Whatever the bytes are, equal ones too, and whichever packs they come into."""
    files = new_files(pl.DataFrame({"path": [str(i) for i in range(len(contents))]}), contents)
    assert [files.read(digest) for digest in files.table["digest"]] == contents
    assert files.table["size_bytes"].to_list() == [len(content) for content in contents]
    assert set(files.packs()) == {place.pack for members in files.packs().values() for _, place in members}
    for pack in files.packs():
        stretch = files.pack(pack)
        assert isinstance(stretch.file, bytes)
        assert blob_digest(stretch.file) == pack


def test_a_row_for_each_file() -> None:
    """A table of another length is a mistake."""
    with pytest.raises(UsageError, match="1 rows, but there are 2 files"):
        new_files(pl.DataFrame({"path": ["a"]}), [b"1", b"2"])
