"""Archives are read where they lie; one that could write elsewhere, or holds too much, is refused as a whole."""

from __future__ import annotations

import gzip
import io
import random
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.adapters.sources import archives
from filiera.adapters.sources.archives import archive_members
from filiera.errors import SourceError


def everything(path: str) -> dict[str, str]:
    return {}


def only_png(path: str) -> dict[str, str] | None:
    return {} if path.endswith(".png") else None


def listed(archive: Path) -> dict[str, bytes]:
    with archive_members(archive, everything) as members:
        return {member.path: member.read() for member in members}


def zip_of(file: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return file


def tar_of(file: Path, contents: dict[str, bytes], mode: str = "w", kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/etc/passwd"
            archive.addfile(info, io.BytesIO(content) if kind == tarfile.REGTYPE else None)
    return file


KINDS = {
    "zip": lambda file, contents: zip_of(file, contents),
    "tar": lambda file, contents: tar_of(file, contents),
    "tar.gz": lambda file, contents: tar_of(file, contents, "w:gz"),
    "tar.bz2": lambda file, contents: tar_of(file, contents, "w:bz2"),
    "tar.xz": lambda file, contents: tar_of(file, contents, "w:xz"),
}
NAMES = st.text("ab./\\:", min_size=1, max_size=6) | st.sampled_from(
    ["../x", "/x", "a/../../x", "C:\\x", "a//b", "./a", "a/.", "..", "a/..", "~/x", "a\\..\\x", "-x", "*"]
)


@pytest.mark.parametrize("kind", KINDS)
def test_files_come_as_they_were_put(kind: str, tmp_path: Path) -> None:
    """Every kind of archive gives the same files."""
    contents = {"a/b.png": b"one", "c": b"", "d/e/f": b"x" * 100_000}
    assert listed(KINDS[kind](tmp_path / f"x.{kind}", contents)) == contents


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["zip", "tar"]),
    names=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    content=st.binary(),
)
def test_no_path_leads_out(kind: str, names: list[str], content: bytes) -> None:
    """Whatever the names are: either each is a plain relative path, or nothing is given."""
    with tempfile.TemporaryDirectory() as folder:
        written = dict.fromkeys(names, content)
        archive = KINDS[kind](Path(folder) / "x", written)
        try:
            found = listed(archive)
        except SourceError as error:
            assert error.do
            return
        target = (Path(folder) / "target").resolve()
        for path in found:
            assert (target / path).resolve() != target
            assert (target / path).resolve().is_relative_to(target)
            assert str(Path(path)) == path
        files = {name.removeprefix("./") for name in names if not name.endswith("/")}
        assert set(found) == files  # the naive listing


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "C:/x", "a\\b"])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_escape_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    """The message names archive and path."""
    archive = KINDS[kind](tmp_path / "x", {"good": b"1", name: b"2"})
    with pytest.raises(SourceError, match="is refused"):
        listed(archive)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE], ids=repr
)
def test_links_and_devices_in_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    """Only regular files and folders have a place in an archive."""
    with pytest.raises(SourceError, match=r"is a link|is no regular file"):
        listed(tar_of(tmp_path / "x.tar", {"x": b""}, kind=kind))


def test_links_encryption_and_repeats_in_zip_are_refused(tmp_path: Path) -> None:
    """A zip file can hold these too."""
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(SourceError, match="'link' in it is a link"):
        listed(tmp_path / "link.zip")
    plain = bytearray(zip_of(tmp_path / "plain.zip", {"a": b"1"}).read_bytes())
    plain[plain.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(plain)
    with pytest.raises(SourceError, match="is encrypted"):
        listed(tmp_path / "secret.zip")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("a", "2")
    with pytest.raises(SourceError, match="is there twice"):
        listed(tmp_path / "twice.zip")


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one file nor the sum may be far larger than the archive, nor a header."""
    monkeypatch.setattr(archives, "_RATIO_FROM_BYTES", 1 << 20)
    zeros = bytes(1 << 20)
    with pytest.raises(SourceError, match="it is a bomb"):
        listed(zip_of(tmp_path / "one.zip", {"a": zeros * 3}))
    with pytest.raises(SourceError, match="it is a bomb"):
        listed(zip_of(tmp_path / "sum.zip", {f"{i}": zeros for i in range(5)}))
    with pytest.raises(SourceError, match="it is a bomb"):
        listed(tar_of(tmp_path / "x.tar.gz", {"a": zeros * 3}, "w:gz"))
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 8 << 20
    (tmp_path / "header.tar.gz").write_bytes(gzip.compress(header.tobuf() + zeros * 8))
    with pytest.raises(SourceError, match="it is a bomb"):
        listed(tmp_path / "header.tar.gz")


def test_total_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that do not compress add up too."""
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(SourceError, match="unpack to more than 1,000 bytes"):
        listed(tar_of(tmp_path / "x.tar", {"a": b"1" * 600, "b": b"2" * 600}))


@pytest.mark.parametrize("kind", KINDS)
def test_cut_archive_is_told(kind: str, tmp_path: Path) -> None:
    """An archive that ends too early gives one error, wherever it is cut."""
    whole = KINDS[kind](tmp_path / "x", {"a": bytes(range(256)) * 40, "b": b"2" * 3000}).read_bytes()
    for kept in (0.05, 0.3, 0.525, 0.6):
        (tmp_path / "cut").write_bytes(whole[: int(len(whole) * kept)])
        with pytest.raises(SourceError, match=r"damaged archive|neither a folder nor an archive"):
            listed(tmp_path / "cut")


def test_changed_byte_in_a_zip_file_is_told(tmp_path: Path) -> None:
    """A file whose checksum is wrong is not given."""
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("a", b"content")
    archive.write_bytes(archive.read_bytes().replace(b"content", b"cOntent"))
    with pytest.raises(SourceError, match="damaged archive"):
        listed(archive)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_changed_byte_in_a_compressed_tar_file_is_told(kind: str, tmp_path: Path) -> None:
    """Tar has no checksum of what files hold: that of the compression stands behind the last one, and is looked at."""
    archive = tar_of(tmp_path / "x.tar", {"a": random.Random(1).randbytes(5000)}, mode=f"w:{kind}")
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    with pytest.raises(SourceError, match="damaged archive"):
        listed(archive)


def test_only_what_is_meant_comes_but_all_is_checked(tmp_path: Path) -> None:
    """A pattern cannot look past a path that leads out."""
    archive = zip_of(tmp_path / "x.zip", {"a.png": b"1", "b.txt": b"2"})
    with archive_members(archive, only_png) as members:
        assert [member.path for member in members] == ["a.png"]
    archive = zip_of(tmp_path / "y.zip", {"a.png": b"1", "../b.txt": b"2"})
    with (
        pytest.raises(SourceError),
        archive_members(archive, only_png) as members,
    ):
        list(members)
