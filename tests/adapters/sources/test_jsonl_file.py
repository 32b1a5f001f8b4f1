"""JSON-lines files of the catalog."""

import gzip
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.sources.jsonl_file import JsonLinesSource
from filiera.errors import SourceError
from filiera.testing.source import SourceReaderContract
from filiera.testing.source import read as read_entry

ENTRY = {"type": "jsonl", "path": "t.jsonl"}


class TestContract(SourceReaderContract):
    @pytest.fixture
    def reader(self):
        return JsonLinesSource()

    @pytest.fixture
    def entry(self):
        return ENTRY

    @pytest.fixture
    def project(self, tmp_path):
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "t.jsonl").write_text('{"a": 1}\n')
        return folder

    def change(self, project):
        (project / "t.jsonl").write_text('{"a": 2}\n')

    def same(self, one, other):
        return one.equals(other)


def read(tmp_path, content, **options):
    (tmp_path / "t.jsonl").write_bytes(content)
    entry = {**ENTRY, **options}
    JsonLinesSource().check(entry)
    return read_entry(JsonLinesSource(), entry, tmp_path)


def test_missing_keys_are_null_and_empty_lines_nothing(tmp_path):
    """Lines may hold different keys; gzip is told by its content."""
    content = gzip.compress(b'\n{"a": 1, "b": "x"}\n\n{"c": 2.5}\n')
    assert read(tmp_path, content).rows() == [(1, "x", None), (None, None, 2.5)]


def test_types_are_found_from_all_rows_or_declared(tmp_path):
    """A late fraction makes the column a fraction; a declared type wins."""
    assert read(tmp_path, b'{"a": 1}\n' * 2000 + b'{"a": 1.5}\n').schema["a"] == pl.Float64
    assert read(tmp_path, b'{"a": 1}\n', columns={"a": "int8"}).schema["a"] == pl.Int8
    assert read(tmp_path, b'{"a": "2020-01-02"}\n', columns={"a": "date"}).item() == date(2020, 1, 2)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "has no rows"),
        (b"\n \n", "has no rows"),
        (b'{"a": 1}\nnope\n', "line 2 is not a JSON object"),
        (b'{"a": 1}\n\n{"a": 2', "line 3 is not a JSON object"),
        (b'{"a": 1}\n[1]\n', "line 2 is not a JSON object"),
        (b'{"a": "x"}\n{"a": "\xe9"}\n', "line 2 is not a JSON object"),
        (b"\x1f\x8bnothing", "not a whole compressed file"),
    ],
)
def test_broken_file_is_told_with_its_line(tmp_path, content, what):
    """What is wrong, and where, is one clear error."""
    with pytest.raises(SourceError, match=what):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "columns", "what"),
    [
        (b'{"a": "q"}\n', {"a": "int64"}, "not of their declared type"),
        (b'{"a": 300}\n', {"a": "int8"}, "not of their declared type"),
        (b'{"a": 1}\n', {"b": "int8"}, "has no column 'b'"),
    ],
)
def test_value_against_its_declared_type(tmp_path, content, columns, what):
    """A value that is not of the declared type, or a column that is nowhere, is refused."""
    with pytest.raises(SourceError, match=what) as caught:
        read(tmp_path, content, columns=columns)
    assert caught.value.why


@given(content=st.binary(max_size=60) | st.text('{}[]"a:1,\n ', max_size=30).map(str.encode))
def test_any_bytes_are_a_table_or_a_clear_error(tmp_path_factory, content):
    """Whatever the file holds, nothing but a table or a SourceError comes out."""
    try:
        frame = read(tmp_path_factory.mktemp("jsonl"), content)
    except SourceError as error:
        assert error.do
    else:
        assert frame.height > 0
