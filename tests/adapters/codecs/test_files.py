"""Files and folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from filiera.adapters.codecs.files import FileCodec, FolderCodec, children
from filiera.core.digest import blob_digest
from filiera.errors import CodecError
from filiera.testing.codec import CodecContract, MemoryArtifact


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return what is in a folder: bytes of files, None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def fresh_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="test-files-"))


class TestFileCodec(CodecContract):
    def make_codec(self) -> FileCodec:
        return FileCodec()

    def make_values(self) -> Sequence[Any]:
        folder = fresh_folder()
        for name, content in (("empty", b""), ("così.csv", b"a,b\n"), ("line\u2028end.bin", b"\0" * 5000)):
            (folder / name).write_bytes(content)
        return sorted(folder.iterdir())

    def assert_same(self, decoded: Any, original: Any) -> None:
        assert decoded.name == original.name
        assert decoded.read_bytes() == original.read_bytes()

    def test_a_missing_file_is_refused(self, tmp_path: Path) -> None:
        """A Path to nothing is no value."""
        with pytest.raises(CodecError, match="no such file"):
            FileCodec().encode(tmp_path / "absent", MemoryArtifact(tmp_path))

    def test_a_device_is_refused(self) -> None:
        """Only regular files have bytes to keep."""
        with pytest.raises(CodecError, match="not a regular file"):
            FileCodec().encode(Path(os.devnull), MemoryArtifact(Path()))


class TestFolderCodec(CodecContract):
    def make_codec(self) -> FolderCodec:
        return FolderCodec()

    def make_values(self) -> Sequence[Any]:
        empty, full = fresh_folder(), fresh_folder()
        (full / "images" / "deep").mkdir(parents=True)
        (full / "images" / "a.png").write_bytes(b"\x89PNG")
        (full / "images" / "deep" / "è.txt").write_text("x")
        (full / "images-2").mkdir()
        (full / "run.sh").write_text("#!/bin/sh\n")
        (full / "run.sh").chmod(0o755)
        return [empty, full]

    def assert_same(self, decoded: Any, original: Any) -> None:
        assert tree(decoded) == tree(original)
        assert [os.access(p, os.X_OK) for p in sorted(decoded.rglob("*.*"))] == [
            os.access(p, os.X_OK) for p in sorted(original.rglob("*.*"))
        ]

    def test_a_restored_file_is_a_read_only_copy(self, tmp_path: Path) -> None:
        """Nothing that a consumer does to a restored file reaches the store."""
        artifact = _encoded({"a.txt": b"a"}, tmp_path)
        restored = FolderCodec().decode(artifact) / "a.txt"
        assert restored.stat().st_mode & 0o777 == 0o444
        assert restored.stat().st_nlink == 1
        restored.chmod(0o644)
        restored.write_bytes(b"changed")
        assert (FolderCodec().decode(artifact) / "a.txt").read_bytes() == b"a"

    def test_children_are_the_blobs_to_keep(self, tmp_path: Path) -> None:
        """A manifest names each file's blob, so that garbage collection can follow it."""
        artifact = _encoded({"a": b"1", "b/c": b"2", "b/d": b"1"}, tmp_path)
        assert children(artifact.bytes()) == [blob_digest(b"1"), blob_digest(b"2"), blob_digest(b"1")]

    @pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "broken link", "pipe"])
    def test_links_and_special_files_are_refused(self, tmp_path: Path, kind: str) -> None:
        """What cannot be restored elsewhere as it is here is named and refused."""
        folder = tmp_path / "out"
        (folder / "in").mkdir(parents=True)
        odd = folder / "in" / "odd"
        if kind == "pipe":
            os.mkfifo(odd)
        else:
            odd.symlink_to({"link to a file": __file__, "link to a folder": tmp_path}.get(kind, "nowhere"))
        with pytest.raises(CodecError, match=r"'in/odd' in it is a (link|special file)"):
            FolderCodec().encode(folder, MemoryArtifact(tmp_path))

    def test_a_name_that_is_not_utf8_is_refused(self, tmp_path: Path) -> None:
        """Such a name would mean something else on another machine."""
        folder = tmp_path / "out"
        folder.mkdir()
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"")
        with pytest.raises(CodecError, match="not UTF-8"):
            FolderCodec().encode(folder, MemoryArtifact(tmp_path))

    @pytest.mark.parametrize(
        "path",
        ["/etc/passwd", "../up", "a/../../up", "a//b", "./a", "a/.", "nul\\u0000", "", "/", "a/b/../c", ".."],
    )
    def test_paths_that_leave_the_folder_are_refused(self, tmp_path: Path, path: str) -> None:
        """A manifest from elsewhere cannot make us write outside the folder."""
        line = f'{{"path":"{path}","size_bytes":1,"digest":"{"0" * 64}","is_executable":false}}\n'
        with pytest.raises(CodecError):
            FolderCodec().decode(MemoryArtifact(tmp_path, line.encode()))
        with pytest.raises(CodecError):
            FileCodec().decode(MemoryArtifact(tmp_path, line.encode()))

    def test_a_file_that_is_also_a_folder_is_refused(self, tmp_path: Path) -> None:
        """Paths that contradict each other leave nothing half-restored."""
        artifact = _encoded({"a": b"1"}, tmp_path)
        line = artifact.bytes().decode()
        artifact.stream.write(line.replace('"a"', '"a/b"').encode())
        with pytest.raises(CodecError):
            FolderCodec().decode(artifact)


RESTORING = """
import os, pathlib, signal, sys
from filiera.adapters.codecs.files import FolderCodec
from filiera.testing.codec import MemoryArtifact
folder = pathlib.Path(sys.argv[1])
artifact = MemoryArtifact(folder.parent)
FolderCodec().encode(folder, artifact)
print(FolderCodec().decode(artifact), flush=True)
sys.stdin.read()
if sys.argv[2] == "is killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


class RestoringProcess:
    """A process that has restored a folder with the file ``a``, and waits."""

    def __init__(self, place: Path, *, end: str) -> None:
        (place / "source").mkdir(parents=True, exist_ok=True)
        (place / "source" / "a").write_text("a")
        (place / "tmp").mkdir(exist_ok=True)
        python_path = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [sys.executable, "-c", RESTORING, str(place / "source"), end],
            env={**os.environ, "PYTHONPATH": python_path, "TMPDIR": str(place / "tmp")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.restored = Path(self._process.stdout.readline().strip()) / "a"

    def end(self) -> int:
        """Let it end, and return its exit code."""
        self._process.communicate()
        return self._process.returncode


def test_restored_files_go_when_the_process_ends(tmp_path: Path) -> None:
    """A process leaves no copies behind in the temporary folder."""
    process = RestoringProcess(tmp_path, end="returns")
    assert process.restored.read_text() == "a"
    assert process.end() == 0
    assert list((tmp_path / "tmp").iterdir()) == []


def test_restored_files_of_a_killed_process_go_with_the_next(tmp_path: Path) -> None:
    """A process that was killed can clean up nothing; the next one does, and touches no file of those that live."""
    killed, alive = (RestoringProcess(tmp_path, end=end) for end in ("is killed", "returns"))
    assert killed.end() == -signal.SIGKILL
    assert killed.restored.read_text() == "a"
    later = RestoringProcess(tmp_path, end="returns")
    assert [process.restored.exists() for process in (killed, alive, later)] == [False, True, True]
    alive.end()
    later.end()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    """What only has such a name is not removed: a link, a file."""
    temporary, precious = tmp_path / "tmp", tmp_path / "precious"
    temporary.mkdir()
    precious.mkdir()
    (precious / "work").write_text("a year of it")
    (temporary / "filiera-files-link").symlink_to(precious)
    (temporary / "filiera-files-file").write_text("")
    RestoringProcess(tmp_path, end="returns").end()
    assert tree(precious) == {"work": b"a year of it"}
    assert sorted(path.name for path in temporary.iterdir()) == ["filiera-files-file", "filiera-files-link"]


def _encoded(files: dict[str, bytes], tmp_path: Path) -> MemoryArtifact:
    folder = tmp_path / "source"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    artifact = MemoryArtifact(tmp_path)
    FolderCodec().encode(folder, artifact)
    return artifact
