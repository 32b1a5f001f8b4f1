"""CSV files of the catalog."""

import csv
import gzip
import io
from datetime import date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.adapters.sources.csv_file import CsvSource
from filiera.errors import ProjectError, SourceError
from filiera.testing.source import SourceReaderContract
from filiera.testing.source import read as read_entry


class TestContract(SourceReaderContract):
    @pytest.fixture
    def reader(self):
        return CsvSource()

    @pytest.fixture
    def entry(self):
        return {"type": "csv", "path": "data/flows.csv"}

    @pytest.fixture
    def project(self, tmp_path):
        folder = tmp_path / "project" / "data"
        folder.mkdir(parents=True)
        (folder / "flows.csv").write_text("a,b\n1,x\n2,y\n")
        return folder.parent

    def change(self, project):
        (project / "data/flows.csv").write_text("a,b\n1,x\n3,y\n")

    def same(self, one, other):
        return one.equals(other)


def read(tmp_path, content, **options):
    entry = {"type": "csv", "path": "t.csv", **options}
    CsvSource().check(entry)
    (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_entry(CsvSource(), entry, tmp_path)


def test_gzip_is_told_by_its_content(tmp_path):
    """A compressed file reads like the plain one, whatever its name."""
    assert read(tmp_path, gzip.compress(b"a,b\n1,x\n")).rows() == [(1, "x")]


def test_options_shape_the_table(tmp_path):
    """Separator, further null texts and declared types are applied."""
    frame = read(
        tmp_path,
        "a;b;day;at\n1;-;2020-01-02;2020-01-02T03:04:05\n2;x;;\n",
        separator=";",
        null_values=["-"],
        columns={"a": "float32", "day": "date", "at": "timestamp"},
    )
    assert frame.schema["a"] == pl.Float32
    assert frame.rows() == [(1.0, None, date(2020, 1, 2), datetime(2020, 1, 2, 3, 4, 5)), (2.0, "x", None, None)]


def test_without_header_the_catalog_names_the_columns(tmp_path):
    """Names come from the catalog, in order, or are numbered."""
    named = read(tmp_path, "1,x\n2,y\n", has_header=False, columns={"n": "int64", "s": "string"})
    assert named.to_dict(as_series=False) == {"n": [1, 2], "s": ["x", "y"]}
    assert read(tmp_path, "1,x\n", has_header=False).columns == ["column_1", "column_2"]
    with pytest.raises(SourceError, match="first line has 2 fields, the catalog names 1"):
        read(tmp_path, "1,x\n", has_header=False, columns={"n": "int64"})


@pytest.mark.parametrize(("late", "dtype"), [("5.5,z", pl.Float64), ("x,z", pl.String)], ids=["fraction", "text"])
def test_types_are_found_from_all_rows(tmp_path, late, dtype):
    """One late row decides as much as the first ones."""
    assert read(tmp_path, "a,b\n" + "1,z\n" * 12_000 + late + "\n").schema["a"] == dtype


def test_late_first_value_gives_the_type(tmp_path):
    """A column that is empty for long has the type of the values that come."""
    assert read(tmp_path, "a,b\n" + ",z\n" * 12_000 + "5,z\n").schema["a"] == pl.Int64


def test_byte_order_mark_and_windows_lines_are_no_content(tmp_path):
    """What some programs put before and between lines is not read as data."""
    frame = read(tmp_path, b"\xef\xbb\xbfa,b\r\n1,x\r\n")
    assert (frame.columns, frame.rows()) == (["a", "b"], [(1, "x")])


def test_empty_lines_are_no_rows(tmp_path):
    """Lines without any field are skipped, lines with empty fields are kept."""
    assert read(tmp_path, "a,b\n\n1,x\n\n,\n2,y\n\n").rows() == [(1, "x"), (None, None), (2, "y")]
    with pytest.raises(SourceError, match="has no rows"):
        read(tmp_path, "a,b\n\n\n")


def test_long_field_in_a_table_with_gaps(tmp_path):
    """A field longer than the csv module's limit is data, and the limit is left as it was."""
    before = csv.field_size_limit()
    assert read(tmp_path, f"a,b\n{'x' * 200_000},\n\ny,1\n").height == 2
    assert csv.field_size_limit() == before


GZ = gzip.compress(b"a,b\n" + bytes(range(65, 91)) * 400 + b",2\n", mtime=0)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "has no rows"),
        (b"a,b\n", "has no rows"),
        (b"\na,b\n1,2\n", "its first line is empty"),
        (b"a,b,a\n1,2,3\n", "column 'a' is there twice"),
        (b",a,b\n0,1,2\n", "column 1 has no name"),
        (b"a,b,,\n1,2,3,4\n", "column 3 has no name"),
        (b"a,b,c\n1,2,3\n4,5\n", "line 3 has 2 fields, the first line has 3"),
        (b"a,b\n1,2\n3,4,5\n", "line 3 has 3 fields, the first line has 2"),
        (b'a,b\n"x\ny",2\n3\n', "line 4 has 1 fields, the first line has 2"),
        (b'a,b\n1,2\n"3,4\n5,6\n', "line 3 is not CSV"),
        ("a,b\n1,é\n".encode("latin-1"), "line 2 is not UTF-8"),
        ("é,b\n1,2\n".encode("latin-1"), "line 1 is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "line 1 is not UTF-8"),
        (b"a,b\n" + b"1,x\n" * 20_000 + b"1,\xff\n", "line 20002 is not UTF-8"),
        (GZ[: len(GZ) // 2], "not a whole compressed file"),
        (GZ[:-4] + b"\0\0\0\0", "not a whole compressed file"),
        (GZ[:20] + b"\xff\xff" + GZ[22:], "not a whole compressed file"),
    ],
)
def test_broken_file_is_told_with_its_line(tmp_path, content, what):
    """What is wrong, and where, is one clear error; half a table is never returned."""
    with pytest.raises(SourceError, match=what) as caught:
        read(tmp_path, content)
    assert "t.csv" in str(caught.value)
    assert caught.value.do


@pytest.mark.parametrize(
    ("content", "columns", "what"),
    [
        ("a,b\n1,2\n3,x\n", {"b": "int64"}, "line 3, column 'b': 'x' is not int64"),
        ('a,b\n1,2\n3,"4,5"\n', {"b": "int64"}, "line 3, column 'b': '4,5' is not int64"),
        ('a,b\n1,2\n3,"so ""x"""\n', {"b": "int64"}, "line 3, column 'b': 'so \"x\"' is not int64"),
        ("a,b\n1,300\n", {"b": "int8"}, "line 2, column 'b': '300' is not int8"),
        ("a,b\n1,2\n", {"zz": "int64"}, "has no column 'zz'"),
        ("a,b\n1,2\n", {"b": "duration"}, "unsupported data type|Polars refuses it"),
    ],
)
def test_declared_type_that_does_not_hold(tmp_path, content, columns, what):
    """A value that is not of its declared type is told with its line and column."""
    with pytest.raises(SourceError, match=what):
        read(tmp_path, content, columns=columns)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"separator": ";;"}, "needs one ASCII character"),
        ({"separator": "é"}, "needs one ASCII character"),
        ({"separator": '"'}, "needs one ASCII character"),
        ({"has_header": 1}, "needs true or false"),
        ({"null_values": "NA"}, "needs a list of texts"),
        ({"columns": ["a"]}, "needs a table of columns and types"),
        ({"columns": {"a": "integer"}}, "unknown type 'integer'; known types: bool, int8"),
        ({"columns": {"a": ["int8"]}}, "unknown type"),
    ],
)
def test_wrong_option_is_refused(options, what):
    """A wrong value is told with what the option needs, before any file is opened."""
    with pytest.raises(ProjectError, match=what):
        CsvSource().check({"type": "csv", "path": "t.csv", **options})


def test_options_are_part_of_the_fingerprint(tmp_path):
    """The same bytes read in another way are another source."""
    (tmp_path / "t.csv").write_text("a;b\n1;2\n")
    plain, other = {"type": "csv", "path": "t.csv"}, {"type": "csv", "path": "t.csv", "separator": ";"}
    assert CsvSource().fingerprint(plain, tmp_path) != CsvSource().fingerprint(other, tmp_path)


def test_folder_and_unreadable_file_are_told(tmp_path):
    """A folder in place of a file, and a file the system refuses, are SourceErrors."""
    with pytest.raises(SourceError, match="it is a folder"):
        read_entry(CsvSource(), {"type": "csv", "path": "."}, tmp_path)
    (tmp_path / "t.csv").write_text("a\n1\n")
    with pytest.raises(SourceError, match="Cannot read") as caught:
        read_entry(CsvSource(), {"type": "csv", "path": "t.csv/below"}, tmp_path)
    assert "Not a directory" in caught.value.why


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    """Texts with quotes, separators and any script survive."""
    text = io.StringIO()
    csv.writer(text).writerows([("a", "b"), *rows])
    frame = read(tmp_path_factory.mktemp("csv"), text.getvalue(), columns={"a": "string", "b": "string"})
    assert frame.rows() == rows


@given(content=st.binary(max_size=80) | st.text('ab1,"\n\r;', max_size=30).map(str.encode))
def test_any_bytes_are_a_table_or_a_clear_error(tmp_path_factory, content):
    """Whatever the file holds, nothing but a table or a SourceError comes out."""
    try:
        frame = read(tmp_path_factory.mktemp("csv"), content)
    except SourceError as error:
        assert error.do
    else:
        assert frame.height > 0
