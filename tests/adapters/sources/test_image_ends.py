"""An image that was cut, changed, or is something else too is found out, in formats that say where they end."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from PIL import Image

from filiera.adapters.sources.image_ends import problem_at_the_end

KINDS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")


def encoded(kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image = Image.effect_noise((40, 30), 60)
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_whole_images_have_no_problem(kind: str) -> None:
    """Nor have those with some zeros behind them, as cameras and disks leave there."""
    content = encoded(kind)
    assert problem_at_the_end(content, kind) == ""
    assert problem_at_the_end(content + bytes(100), kind) == ""


def test_variants_have_no_problem() -> None:
    """Progressive, animated and interlaced images end where they say, too."""
    frames = [Image.effect_noise((20, 20), 60) for _ in range(3)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    assert problem_at_the_end(stream.getvalue(), "GIF") == ""
    assert problem_at_the_end(encoded("JPEG", progressive=True, comment=b"x" * 1000), "JPEG") == ""


@pytest.mark.parametrize("kind", KINDS)
def test_every_cut_is_found(kind: str) -> None:
    """No prefix of an image counts as whole."""
    content = encoded(kind)
    start = 30 if kind == "BMP" else 12
    problems = {problem_at_the_end(content[:end], kind) for end in range(start, len(content))}
    assert problems == {"is cut off"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_is_found(kind: str) -> None:
    """A page or an archive behind an image makes it something else to others."""
    content = encoded(kind)
    assert "goes on for 8 bytes" in problem_at_the_end(content + b"<script>", kind)
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("x", "y")
    assert problem_at_the_end(stream.getvalue(), kind) == "is a zip archive, too"


def test_a_wrong_checksum_is_found() -> None:
    """A decoder would go on, and show other pixels."""
    content = bytearray(encoded("PNG"))
    content[len(content) // 2] ^= 1
    assert "the checksum of its part IDAT" in problem_at_the_end(bytes(content), "PNG")
