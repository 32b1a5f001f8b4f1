"""Files of the catalog: a row for each, their bytes as they are."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.adapters.sources.files import FilesSource
from filiera.core.collected import Collected
from filiera.core.digest import blob_digest
from filiera.core.files import PACK_BYTES, Files
from filiera.errors import SourceError
from filiera.testing.source import SourceReaderContract

ENTRY = {"type": "files", "path": "sounds"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "sounds" / "cats"
    folder.mkdir(parents=True)
    (folder / "1.wav").write_bytes(b"one")
    (folder.parent / "2.wav").write_bytes(b"two")
    return tmp_path / "project"


def read(project: Path, path: str = ENTRY["path"]) -> Files:
    entry = {"type": "files", "path": path}
    return FilesSource().read(entry, project, Collected(entry=entry))


class TestContract(SourceReaderContract):
    @pytest.fixture
    def reader(self) -> FilesSource:
        return FilesSource()

    @pytest.fixture
    def entry(self) -> Mapping[str, Any]:
        return ENTRY

    @pytest.fixture
    def project(self, project: Path) -> Path:
        return project

    def change(self, project: Path) -> None:
        (project / "sounds/3.wav").write_bytes(b"three")

    def same(self, one: Any, other: Any) -> bool:
        return bool(one.table.equals(other.table))


def test_files_have_rows_and_bytes(project: Path) -> None:
    """In the order of their paths; the pattern makes columns and chooses."""
    found = read(project)
    assert found.table.rows() == [("2.wav", blob_digest(b"two"), 3), ("cats/1.wav", blob_digest(b"one"), 3)]
    assert list(map(found.read, found.table["digest"])) == [b"two", b"one"]
    assert found.rejected.height == 0
    chosen = read(project, "sounds/{kind}/{number}.wav").table
    assert chosen.select("path", "kind", "number").rows() == [("cats/1.wav", "cats", "1")]


def test_names_count_in_the_fingerprint(project: Path) -> None:
    """A renamed or moved file is a change, though no byte of any file is."""
    before = FilesSource().fingerprint(ENTRY, project)
    (project / "sounds/2.wav").rename(project / "sounds/cats/2.wav")
    assert FilesSource().fingerprint(ENTRY, project) != before


def test_only_what_is_meant_counts_in_the_fingerprint(project: Path) -> None:
    """Another file beside the chosen ones is no change."""
    entry = {**ENTRY, "path": "sounds/*.wav"}
    before = FilesSource().fingerprint(entry, project)
    (project / "sounds/notes.txt").write_bytes(b"x")
    assert FilesSource().fingerprint(entry, project) == before


def test_large_files_stay_where_they_are(project: Path) -> None:
    """They are not copied before they are stored, and not held in memory."""
    large = project / "sounds/large.wav"
    large.write_bytes(bytes(PACK_BYTES))
    found = read(project)
    (digest,) = found.table.filter(path="large.wav")["digest"]
    assert found.pack(digest).file == large
    assert found.read(digest) == large.read_bytes()


def test_empty_folder_plain_file_and_odd_files_are_refused(project: Path) -> None:
    """Only regular files that are really there, or in an archive, are a source."""
    with pytest.raises(SourceError, match="neither a folder nor an archive"):
        read(project, "sounds/2.wav")
    (project / "empty/deeper").mkdir(parents=True)
    with pytest.raises(SourceError, match="has no rows"):
        read(project, "empty")
    os.mkfifo(project / "empty/pipe")
    with pytest.raises(SourceError, match="is not a regular file"):
        read(project, "empty")
    (project / "sounds/loop").symlink_to(project)
    with pytest.raises(SourceError, match="is a link to a folder"):
        read(project)


def test_broken_link_is_told(project: Path) -> None:
    """A link to nothing cannot be named by content."""
    (project / "sounds/gone").symlink_to("nowhere")
    with pytest.raises(SourceError, match=r"sounds/gone is a link to nowhere, which is not there"):
        FilesSource().fingerprint(ENTRY, project)
    (project / "sounds/gone").unlink()
    (project / "sounds/circle").symlink_to("circle")
    with pytest.raises(SourceError, match=r"Cannot read .*sounds/circle"):
        FilesSource().fingerprint(ENTRY, project)


NAMES = st.lists(st.text("ab.", min_size=1, max_size=3).filter(lambda name: name.strip(".")), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(tree=st.dictionaries(NAMES.map("/".join), st.binary(max_size=40), min_size=1, max_size=8))
def test_folder_and_archive_hold_what_was_written(tree: dict[str, bytes], tmp_path_factory: Any) -> None:
    """Any tree, as a folder and as a zip file, comes back as a naive listing has it."""
    tree = {path: content for path, content in tree.items() if not any(o.startswith(f"{path}/") for o in tree)}
    place = tmp_path_factory.mktemp("tree")
    with zipfile.ZipFile(place / "x.zip", "w") as archive:
        for path, content in tree.items():
            archive.writestr(path, content)
            file = place / "folder" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    for path in ("folder", "x.zip"):
        found = read(place, path)
        assert dict(zip(found.table["path"], map(found.read, found.table["digest"]), strict=True)) == tree
