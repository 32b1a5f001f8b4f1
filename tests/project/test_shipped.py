"""Versions that come with a project as a file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from filiera.adapters.run_archive import ArchiveReader, ArchiveWriter
from filiera.core.products import ProductRef
from filiera.errors import ArchiveError, BlobMissing, ProjectError, StoreError, Untrusted, UsageError
from filiera.project import audit
from filiera.project.project import Project
from filiera.project.shipped import take_over, write_versions
from filiera.project.versions import Version
from tests.project.published import make_project, publish

CHAMPION = ProductRef("m", "champion")


def of(root: Path) -> Project:
    """Return a project that has published nothing."""
    return Project.open(make_project(root))


def shipped(project: Project, version: Version, file: Path) -> Path:
    """Return the file of one version."""
    write_versions(project, [version], file)
    return file


@pytest.fixture
def origin(tmp_path: Path) -> Project:
    """Return a project with two versions, of which the second is the champion."""
    project = of(tmp_path / "origin")
    publish(project, b"one" * 3000)
    publish(project, b"two" * 3000, run="train-2")
    project.versions.promote(ProductRef("m", "2"), "champion", reason="better", at=project.clock())
    return project


def version(project: Project, number: int) -> Version:
    """Return a version of the model."""
    return project.versions.get("model", ProductRef("m", str(number)))


def test_all_of_a_version_arrives_under_its_number(origin: Project, tmp_path: Path) -> None:
    """Number, aliases, description, every attachment and its bytes are as they were, and nothing else is there."""
    file = shipped(origin, version(origin, 2), tmp_path / "v.filiera")
    here = of(tmp_path / "here")
    take_over(here, file)
    there, arrived = version(origin, 2), version(here, 2)
    assert (arrived.ref, arrived.aliases, arrived.description) == ("m@2", ("champion",), there.description)
    assert dict(arrived.attachments) == dict(there.attachments)
    for ref in (there.artifact, there.attachments["note"]):
        assert here.artifacts.get(ref) == origin.artifacts.get(ref)
    assert all(here.holds(ref) for ref in arrived.attachments.values())
    assert audit.came_from(here.records, "import", "m@2") == "v.filiera"
    with pytest.raises(UsageError, match="m@1 is no longer there"):
        version(here, 1)


def test_the_same_version_gives_the_same_bytes(origin: Project, tmp_path: Path) -> None:
    """When and how often it is written makes no difference."""
    one = shipped(origin, version(origin, 1), tmp_path / "one")
    assert one.read_bytes() == shipped(origin, version(origin, 1), tmp_path / "two").read_bytes()


def test_the_newest_file_says_where_aliases_point(origin: Project, tmp_path: Path) -> None:
    """The volume that a newer file finds has the older version still; going back to the older file goes back."""
    newer = shipped(origin, version(origin, 2), tmp_path / "newer")
    origin.versions.promote(ProductRef("m", "1"), "champion", reason="as it was", at=origin.clock())
    older = shipped(origin, version(origin, 1), tmp_path / "older")
    here = of(tmp_path / "here")
    for file, number in ((older, 1), (newer, 2), (older, 1), (older, 1)):
        take_over(here, file)
        assert here.versions.get("model", CHAMPION).number == number
    assert [move.number for move in here.versions.moves("model", "m")] == [1, 2, 1]


def test_who_moves_an_alias_afterwards_has_the_last_word(origin: Project, tmp_path: Path) -> None:
    """The same file, found again at the next start, changes nothing."""
    newer, older = (shipped(origin, version(origin, number), tmp_path / str(number)) for number in (2, 1))
    here = of(tmp_path / "here")
    take_over(here, older)
    take_over(here, newer)
    here.versions.promote(ProductRef("m", "1"), "champion", reason="worse", at=here.clock())
    take_over(here, newer)
    assert here.versions.get("model", CHAMPION).number == 1


def test_another_version_of_that_number_is_not_replaced(origin: Project, tmp_path: Path) -> None:
    """The store of another project is left as it is."""
    file = shipped(origin, version(origin, 1), tmp_path / "v")
    other = of(tmp_path / "other")
    publish(other, b"other" * 3000)
    with pytest.raises(StoreError, match="has another m@1"):
        take_over(other, file)
    assert other.value(version(other, 1).artifact) == b"other" * 3000


def test_a_damaged_file_changes_nothing(origin: Project, tmp_path: Path) -> None:
    """Whichever byte of it is another, the store is empty afterwards, and the next file is taken."""
    file = shipped(origin, version(origin, 1), tmp_path / "v")
    whole = file.read_bytes()
    here = of(tmp_path / "here")
    for place in range(0, len(whole), len(whole) // 40):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            take_over(here, file)
        except ArchiveError:
            assert here.versions.find() == []
        else:  # a byte that means nothing, such as the version of the program that made the archive
            assert here.value(version(here, 1).artifact) == b"one" * 3000
            here = of(tmp_path / f"here-{place}")
    file.write_bytes(whole)
    take_over(here, file)
    assert version(here, 1).ref == "m@1"


@pytest.mark.parametrize(
    ("table", "change", "why"),
    [
        ("product_version", {"name": "../m"}, "cannot name"),
        ("product_version", {"content": "0" * 64}, "not what its digest says"),
        ("product_version", {"more": 1}, "other columns"),
        ("alias", {"alias": "latest/../x"}, "cannot name"),
        ("artifact", {"inline": "AAAA"}, "is damaged"),
        ("artifact", {"digest": "x"}, "digest must be"),
    ],
)
def test_rows_that_are_not_ours_are_refused(
    origin: Project, tmp_path: Path, table: str, change: dict[str, object], why: str
) -> None:
    """An archive whose digests are right, with rows that nobody of ours writes, changes nothing."""
    file = shipped(origin, version(origin, 2), tmp_path / "v")
    forged = tmp_path / "forged"
    with zipfile.ZipFile(file) as old:
        writer = ArchiveWriter(forged)
        for name in old.namelist()[:-1]:
            content = old.read(name)
            if name == f"records/{table}.jsonl":
                content = b"".join(
                    json.dumps(json.loads(line) | change).encode() + b"\n" for line in content.splitlines()
                )
            part = tmp_path / "part"
            part.write_bytes(content)
            with part.open("rb") as source:
                writer.write(name, source, len(content))
        manifest = json.loads(old.read("manifest.json"))
        writer.close({"format": manifest["format"], "version": manifest["version"]})
    with ArchiveReader(forged) as archive:
        assert len(list(archive.verify())) > 4
    here = of(tmp_path / "here")
    with pytest.raises(ArchiveError, match=why):
        take_over(here, forged)
    assert here.versions.find() == []


def test_an_archive_of_runs_is_none_of_versions(tmp_path: Path) -> None:
    """What export wrote is told apart."""
    writer = ArchiveWriter(tmp_path / "runs")
    writer.close({"format": "filiera-archive", "version": 1})
    with pytest.raises(ArchiveError, match="no archive of versions"):
        take_over(of(tmp_path / "here"), tmp_path / "runs")


def test_lost_bytes_are_told_when_it_is_written(origin: Project, tmp_path: Path) -> None:
    """A version whose bytes are gone is not shipped, and no half of a file is left."""
    found = version(origin, 1)
    origin.blobs.delete(found.artifact.digest)
    with pytest.raises(BlobMissing):
        write_versions(origin, [found], tmp_path / "v")
    assert not (tmp_path / "v").exists()


def test_a_project_opens_with_the_versions_that_it_names(origin: Project, tmp_path: Path) -> None:
    """``versions`` of ``[project]`` is all it takes; it must be the path of a file."""
    root = make_project(tmp_path / "here")
    shipped(origin, version(origin, 2), root / "v.filiera")
    toml = root / "filiera.toml"
    for text, told in (('"v.filiera"', ""), ('"none.filiera"', "no file"), ("3", "must be the path")):
        toml.write_text(f'[project]\nname = "small"\nversions = {text}\n', encoding="utf-8")
        if not told:
            assert version(Project.open(root), 2).aliases == ("champion",)
        else:
            with pytest.raises((UsageError, ProjectError), match=told):
                Project.open(root)


def test_signatures_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project that asks for signatures trusts the version that arrives as it did there."""
    monkeypatch.setenv("FILIERA_SIGNING_KEY", str(tmp_path / "key.pem"))
    there = of(tmp_path / "there")
    key = there.signing.make_key()
    published = publish(there, b"one" * 3000)
    unsigned = shipped(there, published, tmp_path / "unsigned.v")
    there.signing.sign(published)
    signed = shipped(there, published, tmp_path / "signed.v")
    rules = f'trusted = ["{key}"]\nrequire = true'
    for file, is_trusted in ((signed, True), (unsigned, False)):
        here = Project.open(make_project(tmp_path / file.stem, rules))
        take_over(here, file)
        if is_trusted:
            assert here.versions.resolve("model", CHAMPION).ref == "m@1"
        else:
            with pytest.raises(Untrusted):
                here.versions.resolve("model", CHAMPION)
