"""One file with many, believed only when all of it is sound."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from filiera.adapters.run_archive import ArchiveReader, ArchiveWriter
from filiera.core.digest import blob_digest
from filiera.errors import ArchiveError, StoreError, UsageError

MEMBERS = {
    "records/run.jsonl": b'{"a":1}\n{"a":2}\n',
    f"blobs/{blob_digest(b'x' * 9000)}": b"x" * 9000,
    "logs/train-1/7.log": b"hello\n",
    "records/event.jsonl": b"",
}


def write(file: Path, members: dict[str, bytes] = MEMBERS) -> Path:
    writer = ArchiveWriter(file)
    for name, content in members.items():
        assert writer.write(name, io.BytesIO(content), len(content)) == blob_digest(content)
    writer.close({"runs": ["train-1"]})
    return file


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Members come back by name, as lines, bytes or files, and the manifest with its facts."""
    with ArchiveReader(write(tmp_path / "a.filiera")) as archive:
        assert sum(archive.verify()) == sum(map(len, MEMBERS.values()))
        assert archive.manifest["runs"] == ["train-1"]
        assert list(archive.lines("records/run.jsonl")) == [b'{"a":1}', b'{"a":2}']
        assert list(archive.lines("records/event.jsonl")) == list(archive.lines("records/none.jsonl")) == []
        assert archive.names("logs/") == ["logs/train-1/7.log"]
        assert archive.blob(blob_digest(b"x" * 9000)) == b"x" * 9000
        archive.copy("logs/train-1/7.log", tmp_path / "copy")
        assert (archive.size_bytes("logs/train-1/7.log"), archive.size_bytes("none")) == (6, None)
    assert (tmp_path / "copy").read_bytes() == b"hello\n"


def test_equal_members_give_equal_bytes(tmp_path: Path) -> None:
    """Nothing of the time, the user or the system is in the file, which other programs can read."""
    files = [write(tmp_path / name) for name in ("a", "b")]
    assert files[0].read_bytes() == files[1].read_bytes()
    with zipfile.ZipFile(files[0]) as other:
        assert other.testzip() is None
        assert other.namelist() == [*MEMBERS, "manifest.json"]


def test_an_unfinished_file_is_refused_and_an_abandoned_one_gone(tmp_path: Path) -> None:
    """Without a manifest a file is not ours, even if it is a sound zip archive."""
    writer = ArchiveWriter(tmp_path / "a")
    writer.write("logs/train-1/7.log", io.BytesIO(b"x"), 1)
    writer._zip.close()
    with pytest.raises(ArchiveError, match="cannot be imported") as caught:
        ArchiveReader(tmp_path / "a")
    assert "manifest" in caught.value.why
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_member_that_lies_is_refused(tmp_path: Path) -> None:
    """A blob under another digest, and a source that is shorter than it was said to be, do not get through."""
    file = write(tmp_path / "a", {f"blobs/{'0' * 64}": b"x"})
    with pytest.raises(ArchiveError):
        ArchiveReader(file)
    writer = ArchiveWriter(tmp_path / "b")
    writer.write("logs/train-1/7.log", io.BytesIO(b"abc"), 10)
    writer.close({})
    with ArchiveReader(tmp_path / "b") as archive:
        assert list(archive.verify()) == [3]


def test_names_lead_nowhere(tmp_path: Path) -> None:
    """No member has a name that could be a path out of where it is put."""
    for name in ("logs/train-1/..", "logs/../x", "/etc/passwd", "logs/a-1/b/c", "blobs/../../x", "logs/train-1/\\x"):
        with zipfile.ZipFile(tmp_path / "a", "w") as made:
            made.writestr("manifest.json", "{}")
            made.writestr(name, "x")
        with pytest.raises(ArchiveError):
            ArchiveReader(tmp_path / "a")


def test_the_disks_errors_are_told(tmp_path: Path) -> None:
    """A folder that is not there, and a file in the way of a copy, are errors in our words."""
    with pytest.raises(StoreError):
        ArchiveWriter(tmp_path / "missing" / "a")
    with pytest.raises(UsageError):
        ArchiveReader(tmp_path / "missing")
    with ArchiveReader(write(tmp_path / "a")) as archive, pytest.raises(StoreError):
        archive.copy("logs/train-1/7.log", tmp_path / "a")
