"""Files are a table with their bytes by digest: rows come and go, the bytes stay reachable and are verified."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from filiera.core.digest import blob_digest
from filiera.core.files import Files, Place, Stretch
from filiera.errors import SourceError, UsageError

CONTENTS = [b"one", b"", b"three and more"]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    file = tmp_path / "pack"
    file.write_bytes(b"before" + b"".join(CONTENTS))
    return file


@pytest.fixture
def files(pack: Path) -> Files:
    places, start = {}, 0
    for content in CONTENTS:
        places[blob_digest(content)] = Place("pack", start, len(content))
        start += len(content)
    table = pl.DataFrame({"path": ["a", "b", "c"], "digest": list(map(blob_digest, CONTENTS))})
    rejected = table.tail(1).with_columns(problem=pl.lit("is odd"))
    return Files(table.head(2), rejected=rejected, places=places, packs=lambda _: Stretch(pack, 6, start))


def test_bytes_are_found_by_digest(files: Files) -> None:
    """Every file of the table, and every one set aside, still has its bytes."""
    digests = [*files.table["digest"], *files.rejected["digest"]]
    assert [files.read(digest) for digest in digests] == CONTENTS


def test_changed_bytes_are_never_returned(files: Files, pack: Path) -> None:
    """A pack that somebody wrote to, cut or removed is an error that names it."""
    pack.write_bytes(b"before" + b"ONE")
    with pytest.raises(SourceError, match="changed after it was read"):
        files.read(files.table["digest"][0])
    pack.unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        files.read(files.table["digest"][0])


def test_rows_can_go_come_twice_and_grow(files: Files) -> None:
    """Any table of these digests will do; what was set aside stays so."""
    few = files.where(pl.col("path") == "b")
    assert (len(few), few.rejected.height, repr(few)) == (1, 1, "<1 files, 1 set aside>")
    twice = files.with_table(pl.concat([files.table, files.table]).with_columns(label=pl.lit("x")))
    assert len(twice) == 4
    assert files.summary == "2 files, 1 set aside:\n  1: is odd"


def test_a_table_of_other_files_is_refused(files: Files) -> None:
    """A row whose bytes are not here would be found out too late."""
    with pytest.raises(UsageError, match="1 rows of the table are of files that are not here"):
        files.with_table(files.table.head(1).with_columns(digest=pl.lit("0" * 64)))
    with pytest.raises(UsageError, match="needs the column 'digest'"):
        files.with_table(files.table.drop("digest"))
    with pytest.raises(UsageError, match="No file here has the digest"):
        files.read("0" * 64)


def test_packs_name_the_files_that_are_used(files: Files) -> None:
    """What no row names is not among the files of a pack."""
    assert [digest for digest, _ in files.where(pl.col("path") == "b").packs()["pack"]] == sorted(
        map(blob_digest, CONTENTS[1:]), key=lambda digest: CONTENTS.index(files.read(digest))
    )


def test_files_are_written_where_their_paths_say(files: Files, tmp_path: Path) -> None:
    """For programs that read folders; nothing is written beside the folder."""
    folder = files.write_to(tmp_path / "out")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a": b"one", "b": b""}
    for path in ("../a", "/a", "a/../../b", ""):
        odd = files.with_table(files.table.head(1).with_columns(path=pl.lit(path)))
        with pytest.raises(UsageError, match="leads out of the folder"):
            odd.write_to(tmp_path / "odd")
    with pytest.raises(UsageError, match="Two files have the path 'a'"):
        files.with_table(files.table.with_columns(path=pl.lit("a"))).write_to(tmp_path / "twice")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pack", "twice"]
