"""Images of the catalog: a row for each sound one, and every other file set aside with the reason."""

from __future__ import annotations

import io
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from filiera.adapters.sources.image_facts import image_facts
from filiera.adapters.sources.images import ImagesSource
from filiera.core.collected import Collected
from filiera.core.digest import blob_digest
from filiera.core.files import Files
from filiera.errors import ProjectError, SourceError
from filiera.testing.source import SourceReaderContract

ENTRY = {"type": "images", "path": "images/{label}/*"}


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(seed: int, size: tuple[int, int] = (12, 10)) -> Image.Image:
    return Image.frombytes("RGB", size, random.Random(seed).randbytes(size[0] * size[1] * 3))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "images"
    for seed, label in enumerate(("cat", "cat", "dog")):
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{seed}.png").write_bytes(encoded(noise(seed)))
    return tmp_path / "project"


def read(project: Path, path: str = ENTRY["path"], **options: Any) -> Files:
    entry = {"type": "images", "path": path, **options}
    return ImagesSource().read(entry, project, Collected(entry=entry))


class TestContract(SourceReaderContract):
    @pytest.fixture
    def reader(self) -> ImagesSource:
        return ImagesSource()

    @pytest.fixture
    def entry(self) -> Mapping[str, Any]:
        return ENTRY

    @pytest.fixture
    def project(self, project: Path) -> Path:
        return project

    def change(self, project: Path) -> None:
        (project / "images/dog/3.png").write_bytes(encoded(noise(3)))

    def same(self, one: Any, other: Any) -> bool:
        return bool(one.table.equals(other.table))


def test_a_row_says_what_the_image_is(project: Path) -> None:
    """Label from the path, digest from the bytes, the rest from the image."""
    found = read(project)
    row = found.table.row(2, named=True)
    content = (project / "images/dog/2.png").read_bytes()
    assert row == {
        "path": "dog/2.png",
        "label": "dog",
        "digest": blob_digest(content),
        "width": 12,
        "height": 10,
        "channels": 3,
        "mode": "RGB",
        "format": "PNG",
        "size_bytes": len(content),
    }
    assert found.read(row["digest"]) == content


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK", "YCbCr"])
def test_every_mode_is_described(mode: str) -> None:
    """Deep, coloured, with a palette or transparent: each has its numbers."""
    ramp = Image.linear_gradient("L").rotate(90)
    image = ramp.convert("I").convert(mode) if mode == "I;16" else ramp.convert(mode)
    facts = image_facts(encoded(image, "TIFF"))
    assert (facts["width"], facts["mode"], facts["channels"]) == (256, mode, len(image.getbands()))


def test_a_photograph_is_measured_as_it_is_shown() -> None:
    """A camera that was turned says so beside the pixels."""
    turned = Image.Exif()
    turned[0x0112] = 6
    facts = image_facts(encoded(noise(1, (30, 10)), "JPEG", exif=turned))
    assert (facts["width"], facts["height"]) == (10, 30)


def png_of(width: int, height: int) -> bytes:
    """Return the beginning of an image that says it is this large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    )


WHOLE = encoded(noise(9, (64, 64)))
FAULTS = {
    b"": "is empty",
    b"no image": "is none of PNG",
    b"%PDF-1.4\n" + WHOLE: "is none of PNG",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n": "is none of PNG",
    WHOLE[:100]: "is cut off",
    WHOLE[:-4]: "is cut off",
    WHOLE + b"<?php ?>": "goes on for 8 bytes",
    WHOLE[:2000] + bytes([WHOLE[2000] ^ 255]) + WHOLE[2001:]: "the checksum of its part IDAT",
    png_of(100_000, 100_000): "is too large: 100,000 × 100,000 pixels",
    png_of(50, 50): "is cut off",
}


@pytest.mark.parametrize(("content", "problem"), FAULTS.items(), ids=range(len(FAULTS)))
def test_what_is_no_sound_image_is_set_aside(content: bytes, problem: str, project: Path) -> None:
    """It is counted, its bytes are kept, and the sound ones are what they were."""
    before = read(project)
    (project / "images/cat/odd.png").write_bytes(content)
    found = read(project)
    assert found.table.equals(before.table)
    (row,) = found.rejected.rows(named=True)
    assert (row["path"], row["label"], row["size_bytes"]) == ("cat/odd.png", "cat", len(content))
    assert problem in row["problem"]
    assert found.read(row["digest"]) == content


def test_limit_of_pixels_can_be_set(project: Path) -> None:
    """Who has larger images says so; who has small ones can be stricter."""
    with pytest.raises(SourceError, match="no sound image among 3 files") as caught:
        read(project, max_pixels=119)
    assert "is too large: 12 × 10 pixels" in caught.value.why
    assert len(read(project, max_pixels=120)) == 3


@settings(max_examples=80, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM"]))
def test_damage_is_a_reason_and_nothing_else(data: st.DataObject, kind: str) -> None:
    """Whatever bytes there are, there are facts or a problem, never an exception."""
    content = bytearray(encoded(noise(1), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    facts = image_facts(bytes(content[: data.draw(st.integers(0, len(content)))]), max_pixels=10**6)
    assert set(facts) == {"problem"} or facts["width"] > 0


def test_folder_and_archives_are_one(project: Path) -> None:
    """The same images in a folder, a zip file and a tar file are the same table."""
    files = {path.relative_to(project / "images").as_posix(): path for path in sorted(project.rglob("*.png"))}
    with zipfile.ZipFile(project / "x.zip", "w") as made, tarfile.open(project / "x.tar.gz", "w:gz") as tarred:
        for name, path in files.items():
            made.write(path, name)
            tarred.add(path, f"./{name}")
    expected = read(project)
    for path in ("x.zip/{label}/*", "x.tar.gz/{label}/*"):
        found = read(project, path)
        assert found.table.equals(expected.table)
        assert [found.read(digest) for digest in found.table["digest"]] == [
            path.read_bytes() for path in files.values()
        ]


def test_bytes_are_kept_once(project: Path) -> None:
    """Two files with the same bytes are two rows and one file of a pack."""
    (project / "images/dog/copy.png").write_bytes((project / "images/cat/0.png").read_bytes())
    found = read(project)
    assert len(found) == 4
    assert sum(len(members) for members in found.packs().values()) == 3


def test_no_file_is_an_error(project: Path) -> None:
    """A pattern that nothing fits is most likely wrong."""
    with pytest.raises(SourceError, match="has no rows"):
        read(project, "images/{label}/*.jpg")


@pytest.mark.parametrize("option", [{"max_pixels": 0}, {"max_pixels": True}, {"path": "x/{width}/*"}])
def test_wrong_options_are_refused(option: dict[str, Any]) -> None:
    """Before anything is opened."""
    with pytest.raises(ProjectError, match=next(iter(option))):
        ImagesSource().check({**ENTRY, **option})


def test_nothing_is_left_behind(project: Path) -> None:
    """The file that small images were written to goes with the value."""
    found = read(project)
    spool = found.pack(next(iter(found.packs()))).file
    assert spool.exists()
    del found
    assert not spool.exists()
