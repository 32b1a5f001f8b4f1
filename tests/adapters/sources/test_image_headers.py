"""An image whose beginning is known is judged as if it had been decoded, whatever follows."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from filiera.adapters.sources import image_headers
from filiera.adapters.sources.image_facts import image_facts
from filiera.adapters.sources.image_headers import ImageLooker

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encoded(mode: str, kind: str, seed: int = 0, size: tuple[int, int] = (9, 7), **options: Any) -> bytes:
    image = Image.frombytes("RGBA", size, random.Random(seed).randbytes(4 * size[0] * size[1]))
    stream = io.BytesIO()
    image.convert("L").convert(mode).save(stream, kind, **options) if mode in ("1", "I;16") else image.convert(
        mode
    ).save(stream, kind, **options)
    return stream.getvalue()


def part(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def parts_of(content: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(SIGNATURE)
    while at < len(content):
        (size_bytes,) = struct.unpack_from(">I", content, at)
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size_bytes]))
        at += 12 + size_bytes
    return found


def png_of(parts: list[tuple[bytes, bytes]]) -> bytes:
    return SIGNATURE + b"".join(part(kind, data) for kind, data in parts)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return what was decoded, as it comes."""
    seen: list[bytes] = []

    def noting(content: bytes, *, max_pixels: int) -> dict[str, Any]:
        seen.append(content)
        return image_facts(content, max_pixels=max_pixels)

    monkeypatch.setattr(image_headers, "image_facts", noting)
    return seen


@pytest.mark.parametrize(
    ("mode", "kind"),
    [(mode, "PNG") for mode in ("1", "L", "LA", "RGB", "RGBA", "I;16")] + [("L", "JPEG"), ("RGB", "JPEG")],
)
def test_only_the_first_of_many_is_decoded(mode: str, kind: str, decoded: list[bytes]) -> None:
    """Of images that begin alike the others are known to be sound by what follows."""
    looker = ImageLooker()
    contents = [encoded(mode, kind, seed) for seed in range(5)]
    assert [looker.facts(content) for content in contents] == [image_facts(content) for content in contents]
    assert decoded == contents[:1]


def test_pixels_may_lie_in_several_parts(decoded: list[bytes]) -> None:
    """As encoders write them that do not hold an image whole."""
    looker = ImageLooker()
    first, second = (parts_of(encoded("RGB", "PNG", seed)) for seed in (1, 2))
    looker.facts(png_of(first))
    (header, (kind, data), end) = second
    content = png_of([header, (kind, data[:50]), (kind, b""), (kind, data[50:]), end])
    assert looker.facts(content) == image_facts(content)
    assert len(decoded) == 1


@pytest.mark.parametrize("options", [{"progressive": True}, {"comment": b"\xff\xda\0\x02"}, {"restart_marker_rows": 1}])
def test_other_jpegs_are_judged_alike(options: dict[str, Any]) -> None:
    """Several scans, markers inside remarks, restarts."""
    looker = ImageLooker()
    for seed in range(3):
        content = encoded("RGB", "JPEG", seed, (40, 30), **options)
        assert looker.facts(content) == image_facts(content)
        assert looker.facts(content[:-40]) == image_facts(content[:-40]) == {"problem": "is cut off"}


def test_a_part_that_looks_like_pixels_is_none() -> None:
    """A remark may hold anything: what stands in it is not learned as if it were the beginning."""
    data = zlib.compress(bytes(7 * (1 + 9)))
    remark = PngImagePlugin.PngInfo()
    remark.add_text("x", part(b"IDAT", data).decode("latin-1"))
    crafted = parts_of(encoded("L", "PNG", pnginfo=remark))
    looker = ImageLooker()
    assert "problem" not in looker.facts(png_of(crafted))
    spoilt = png_of([(kind, data[:10] if kind == b"IDAT" else data) for kind, data in crafted])
    assert looker.facts(spoilt) == image_facts(spoilt) == {"problem": "is cut off"}


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_polyglots_are_found(kind: str) -> None:
    """Also where what begins alike was sound."""
    looker = ImageLooker()
    content = encoded("L", kind)
    looker.facts(content)
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("x", "y")
    assert looker.facts(stream.getvalue()) == {"problem": "is a zip archive, too"}
    assert "goes on for 8 bytes" in looker.facts(content + b"<script>")["problem"]


def test_beginnings_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no two images begin alike, memory stays what it is."""
    monkeypatch.setattr(image_headers, "_MOST_KNOWN", 3)
    looker = ImageLooker()
    for width in range(1, 12):
        looker.facts(encoded("L", "PNG", size=(width, 3)))
        assert len(looker._known) <= 3


SOUND = [
    *(encoded(mode, "PNG", 1) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    encoded("RGB", "PNG", 1, interlace=1),
    *(encoded(mode, "JPEG", 1) for mode in ("L", "RGB", "CMYK")),
    encoded("RGB", "JPEG", 1, progressive=True),
]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), sound=st.sampled_from(SOUND))
def test_what_is_damaged_is_judged_as_a_decoder_does(data: st.DataObject, sound: bytes) -> None:
    """Changed, cut, lengthened; of PNG also inside parts whose checksums are right."""
    looker = ImageLooker()
    assert "problem" not in looker.facts(sound)
    content = bytearray(sound)
    if sound.startswith(SIGNATURE) and data.draw(st.booleans()):
        content = bytearray(png_of([(kind, changed(data, part)) for kind, part in parts_of(sound)]))
    else:
        content = bytearray(changed(data, bytes(content)))
    assert looker.facts(bytes(content)) == image_facts(bytes(content))


def changed(data: st.DataObject, content: bytes) -> bytes:
    how = data.draw(st.sampled_from(["not", "not", "bytes", "cut", "more", "filters"]))
    if how == "bytes" and content:
        spoilt = bytearray(content)
        for _ in range(data.draw(st.integers(1, 3))):
            spoilt[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        return bytes(spoilt)
    if how == "filters" and content[:1] == b"\x78":
        pixels = bytearray(zlib.decompress(content))
        pixels[data.draw(st.integers(0, len(pixels) - 1))] = data.draw(st.integers(0, 255))
        return zlib.compress(bytes(pixels[: data.draw(st.integers(len(pixels) - 2, len(pixels)))]))
    if how == "cut":
        return content[: data.draw(st.integers(0, len(content)))]
    return content + data.draw(st.binary(max_size=4)) if how == "more" else content
