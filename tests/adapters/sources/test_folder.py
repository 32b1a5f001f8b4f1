"""Folders of the catalog."""

import pytest

from filiera.adapters.sources.folder import FilesSource
from filiera.errors import SourceError
from filiera.testing.source import SourceReaderContract, read

ENTRY = {"type": "files", "path": "images"}


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project" / "images" / "cats"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(b"one")
    (folder.parent / "2.png").write_bytes(b"two")
    return tmp_path / "project"


class TestContract(SourceReaderContract):
    @pytest.fixture
    def reader(self):
        return FilesSource()

    @pytest.fixture
    def entry(self):
        return ENTRY

    @pytest.fixture
    def project(self, project):
        return project

    def change(self, project):
        (project / "images/3.png").write_bytes(b"three")

    def same(self, one, other):
        return one == other and len(list(one.iterdir())) == 2


def test_folder_comes_as_an_absolute_path(project):
    """The value is the folder itself, usable from any working directory."""
    path = read(FilesSource(), ENTRY, project)
    assert path.is_absolute()
    assert (path / "cats/1.png").read_bytes() == b"one"


def test_names_count_in_the_fingerprint(project):
    """A renamed or moved file is a change, though no byte of any file is."""
    before = FilesSource().fingerprint(ENTRY, project)
    (project / "images/2.png").rename(project / "images/cats/2.png")
    assert FilesSource().fingerprint(ENTRY, project) != before


def test_file_empty_folder_and_linked_folder_are_refused(project):
    """Only a folder with files, all really below it, is a source."""
    with pytest.raises(SourceError, match="is not a folder"):
        read(FilesSource(), {**ENTRY, "path": "images/2.png"}, project)
    (project / "empty/deeper").mkdir(parents=True)
    with pytest.raises(SourceError, match="has no rows"):
        read(FilesSource(), {**ENTRY, "path": "empty"}, project)
    (project / "images/loop").symlink_to(project)
    with pytest.raises(SourceError, match="is a link to a folder"):
        read(FilesSource(), ENTRY, project)


def test_broken_link_is_told(project):
    """A link to nothing cannot be named by content."""
    (project / "images/gone").symlink_to("nowhere")
    with pytest.raises(SourceError, match="There is no"):
        FilesSource().fingerprint(ENTRY, project)
