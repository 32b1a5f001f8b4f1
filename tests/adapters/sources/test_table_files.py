"""Tables in several files, compressed, partitioned, in other encodings: the same for every format."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.collected import Collected
from filiera.errors import ProjectError, SourceError
from filiera.project.plugins import source_reader
from filiera.testing.source import loaded

Write = Callable[[pl.DataFrame], bytes]


def written(method: str) -> Write:
    def write(frame: pl.DataFrame) -> bytes:
        target = io.BytesIO()
        getattr(frame, method)(target)
        return target.getvalue()

    return write


FORMATS: Mapping[str, Write] = {
    "csv": written("write_csv"),
    "jsonl": written("write_ndjson"),
    "parquet": written("write_parquet"),
    "arrow": written("write_ipc"),
}
COMPRESSIONS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
    "zstd in two frames": lambda b: zstandard.compress(b[:7]) + zstandard.compress(b[7:]),
}
EVERY = pytest.mark.parametrize("kind", FORMATS)


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def collect(folder: Path, kind: str, path: str, **options: Any) -> tuple[pl.DataFrame, Collected]:
    entry = {"type": kind, "path": path, **options}
    reader = source_reader(kind)
    reader.check(entry)
    collected = Collected(entry=entry)
    return loaded(reader.read(entry, folder, collected)), collected


def table(*numbers: int) -> pl.DataFrame:
    return pl.DataFrame({"a": list(numbers), "b": [f"t{number}" for number in numbers]})


@EVERY
def test_a_pattern_is_one_table(tmp_path: Path, kind: str) -> None:
    """Files are read in the order of their names, one after the other; what was read is counted."""
    files = {f"in/{name}.{kind}": FORMATS[kind](table(*rows)) for name, rows in {"b": [3], "a": [1, 2]}.items()}
    put(tmp_path, files)
    put(tmp_path, {"in/c.txt": b"not asked for"})
    frame, collected = collect(tmp_path, kind, f"in/*.{kind}")
    assert frame.equals(table(1, 2, 3))
    assert (collected.place, collected.files) == (str(tmp_path / f"in/*.{kind}"), 2)
    assert collected.size_bytes == sum(map(len, files.values()))


@EVERY
def test_folders_of_partitions_are_columns(tmp_path: Path, kind: str) -> None:
    """``key=value`` in the path becomes a column: days, whole numbers or texts, as all of them can be read."""
    write = FORMATS[kind]
    put(
        tmp_path,
        {
            f"in/day=2026-01-02/shop=7/n=007/x.{kind}": write(table(2)),
            f"in/day=2026-01-01/shop=__HIVE_DEFAULT_PARTITION__/n=1/x.{kind}": write(table(1)),
        },
    )
    frame, _ = collect(tmp_path, kind, f"in/**/*.{kind}")
    assert frame.columns == ["a", "b", "day", "shop", "n"]
    assert frame.rows() == [(1, "t1", date(2026, 1, 1), None, "1"), (2, "t2", date(2026, 1, 2), 7, "007")]


@EVERY
def test_the_fingerprint_of_a_pattern_is_names_and_content(tmp_path: Path, kind: str) -> None:
    """A file more, another name, another content: each is another source; another place or time is not."""
    reader, write = source_reader(kind), FORMATS[kind]
    entry = {"type": kind, "path": f"**/*.{kind}"}
    seen = []
    for number, files in enumerate(({"p=1/x": 1}, {"p=2/x": 1}, {"p=1/x": 2}, {"p=1/x": 1, "p=1/y": 1}, {"p=1/x": 1})):
        folder = tmp_path / str(number)
        put(folder, {f"{name}.{kind}": write(table(content)) for name, content in files.items()})
        seen.append(reader.fingerprint(entry, folder))
    assert len(set(seen[:4])) == 4
    assert seen[4] == seen[0]


@EVERY
def test_columns_are_matched_by_name(tmp_path: Path, kind: str) -> None:
    """Another order of columns is harmless; a column less or more names both files."""
    write = FORMATS[kind]
    put(tmp_path, {f"1.{kind}": write(table(1)), f"2.{kind}": write(table(2).select("b", "a"))})
    assert collect(tmp_path, kind, f"*.{kind}")[0].equals(table(1, 2))
    if kind != "jsonl":  # there a missing key is null
        put(tmp_path, {f"3.{kind}": write(table(3).rename({"b": "c"}))})
        with pytest.raises(SourceError, match=rf"3\.{kind} lacks the column 'b', unlike .*1\.{kind}") as caught:
            collect(tmp_path, kind, f"*.{kind}")
        assert caught.value.why.startswith("Its columns are: a, c.")


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_types_must_be_the_same_in_all_files(tmp_path: Path, kind: str) -> None:
    """Where files state types, two different ones are no table."""
    write = FORMATS[kind]
    put(tmp_path, {f"1.{kind}": write(table(1)), f"2.{kind}": write(table(2).cast({"a": pl.Int8}))})
    with pytest.raises(SourceError, match=rf"Column 'a' is Int8 in .*2\.{kind}, and Int64 in .*1\.{kind}"):
        collect(tmp_path, kind, f"*.{kind}")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_types_are_found_from_all_files(tmp_path: Path, kind: str) -> None:
    """A fraction in the last file makes all of them fractions; a column that is empty in one has the other's type."""
    write = FORMATS[kind]
    put(
        tmp_path,
        {
            f"1.{kind}": write(pl.DataFrame({"a": [1, 2], "b": [None, None]}, schema={"a": pl.Int64, "b": pl.Int64})),
            f"2.{kind}": write(pl.DataFrame({"a": [0.5], "b": [3]})),
        },
    )
    frame, _ = collect(tmp_path, kind, f"*.{kind}")
    assert frame.rows() == [(1.0, None), (2.0, None), (0.5, 3)]
    assert frame.dtypes == [pl.Float64, pl.Int64]


@EVERY
def test_a_file_without_rows_among_others_is_harmless(tmp_path: Path, kind: str) -> None:
    """A day on which nothing happened has a file too; only a source without any row is refused."""
    write = FORMATS[kind]
    put(tmp_path, {f"1.{kind}": write(table(1).clear()), f"2.{kind}": write(table(2))})
    if kind != "csv" and kind != "jsonl":
        assert collect(tmp_path, kind, f"*.{kind}")[0].equals(table(2))
    else:
        assert collect(tmp_path, kind, f"*.{kind}")[0].rows() == [(2, "t2")]
    (tmp_path / f"2.{kind}").unlink()
    with pytest.raises(SourceError, match="has no rows"):
        collect(tmp_path, kind, f"*.{kind}")


@EVERY
@pytest.mark.parametrize("path", ["none/*.x", "*.x", "[a-b].x"])
def test_a_pattern_without_files_is_told(tmp_path: Path, kind: str, path: str) -> None:
    """No file is an error, not an empty table."""
    with pytest.raises(SourceError, match="No file is there that matches") as caught:
        collect(tmp_path, kind, path)
    assert caught.value.do


def test_a_file_may_be_called_like_a_pattern(tmp_path: Path) -> None:
    """What is there by that very name is meant."""
    put(tmp_path, {"a[1].csv": b"a\n1\n", "a1.csv": b"a\n2\n"})
    assert collect(tmp_path, "csv", "a[1].csv")[0].item() == 1


@pytest.mark.parametrize("name", COMPRESSIONS)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_compression_is_told_by_content(tmp_path: Path, kind: str, name: str) -> None:
    """A compressed file reads like the plain one, whatever its name; cut off or spoilt, it is told."""
    content = COMPRESSIONS[name](FORMATS[kind](table(*range(1000))))
    put(tmp_path, {"t.txt": content})
    assert collect(tmp_path, kind, "t.txt")[0].equals(table(*range(1000)))
    for broken in (content[: len(content) // 2], content[:-1]):
        put(tmp_path, {"t.txt": broken})
        with pytest.raises(SourceError, match=r"t\.txt is not a whole compressed file") as caught:
            collect(tmp_path, kind, "t.txt")
        assert caught.value.do


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252", "utf-8-sig", "utf-32-be"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_other_encodings_are_declared(tmp_path: Path, kind: str, encoding: str) -> None:
    """Text in another encoding is the same text, also compressed."""
    content = {"csv": "name,n\ncaffè,1\n", "jsonl": '{"name": "caffè", "n": 1}\n'}[kind].encode(encoding)
    for packed in (content, gzip.compress(content)):
        put(tmp_path, {"t": packed})
        assert collect(tmp_path, kind, "t", encoding=encoding)[0].rows() == [("caffè", 1)]


def test_a_wrong_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    """Bytes that are not what the catalog says are an error with the line, for a large file too."""
    put(tmp_path, {"t.csv": b"a\n" + b"x\n" * 900_000 + b"\x81\n"})
    with pytest.raises(SourceError, match="line 900002 is not cp1252 text"):
        collect(tmp_path, "csv", "t.csv", encoding="cp1252")
    with pytest.raises(ProjectError, match="needs the name of an encoding"):
        collect(tmp_path, "csv", "t.csv", encoding="rot13")
    with pytest.raises(ProjectError, match="needs the name of an encoding"):
        collect(tmp_path, "csv", "t.csv", encoding="klingon")


@EVERY
def test_declared_types_hold_in_every_format(tmp_path: Path, kind: str) -> None:
    """A declared type is that of the column, also of one that comes from the folders' names."""
    put(tmp_path, {f"n=1/t.{kind}": FORMATS[kind](table(1))})
    frame, _ = collect(tmp_path, kind, f"*/*.{kind}", columns={"a": "int8", "n": "string"})
    assert frame.schema == {"a": pl.Int8, "b": pl.String, "n": pl.String}
    with pytest.raises(SourceError, match=r"is not int8|not of their declared type"):
        put(tmp_path, {f"n=1/t.{kind}": FORMATS[kind](table(1, 300))})
        collect(tmp_path, kind, f"*/*.{kind}", columns={"a": "int8"})


def test_broken_file_among_many_is_named(tmp_path: Path) -> None:
    """The message has the one file of the pattern, and the line in it."""
    put(tmp_path, {f"{number}.csv": b"a,b\n1,2\n" for number in range(5)} | {"3.csv": b"a,b\n1,2\n3\n"})
    with pytest.raises(SourceError, match=r"3\.csv: line 3 has 1 fields, the first line has 2"):
        collect(tmp_path, "csv", "*.csv")
    put(tmp_path, {"3.csv": b"a,b\n1,\xff\n"})
    with pytest.raises(SourceError, match=r"3\.csv: line 2 is not UTF-8"):
        collect(tmp_path, "csv", "*.csv")


def test_temporary_files_go_with_the_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was unpacked is there while the query is, and not after."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    put(tmp_path, {"t.csv": gzip.compress(b"a\n1\n2\n")})
    entry = {"type": "csv", "path": "t.csv"}
    query = source_reader("csv").read(entry, tmp_path, Collected(entry=entry))
    narrowed = query.filter(pl.col("a") > 1).select("a")
    del query
    assert list((tmp_path / "temporary").iterdir()) != []
    assert narrowed.collect().rows() == [(2,)]
    assert narrowed.head(1).collect().rows() == [(2,)]
    del narrowed
    assert list((tmp_path / "temporary").iterdir()) == []


@given(
    rows=st.lists(st.tuples(st.integers(-(2**40), 2**40), st.text("abé,\"'\n ", min_size=1, max_size=5)), min_size=1),
    cuts=st.lists(st.integers(0, 12), max_size=3),
    kind=st.sampled_from(list(FORMATS)),
)
def test_however_rows_are_spread_over_files_the_table_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]], cuts: list[int], kind: str
) -> None:
    """Reading the pieces of a table gives the table."""
    folder = tmp_path_factory.mktemp("pieces")
    whole = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.String}, orient="row")
    borders = [0, *sorted(cuts), whole.height]
    for number, (start, end) in enumerate(itertools.pairwise(borders)):
        piece = whole[start : max(start, end)]
        put(folder, {f"{number}.{kind}": FORMATS[kind](piece)})
    frame, _ = collect(folder, kind, f"*.{kind}", columns={"b": "string"})
    assert frame.equals(whole)
