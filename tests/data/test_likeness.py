"""Images that look alike have hashes that are nearly equal, whatever their mode, size and format."""

from __future__ import annotations

import io
import itertools
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from filiera.data.likeness import brighter_bits, perceptual_hash, perceptual_hashes
from filiera.data.near_images import NEAR_BITS
from filiera.data.new_files import new_files
from filiera.errors import CodecError


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK", "YCbCr"])
def test_every_mode_shows_its_structure(mode: str) -> None:
    """Deep, coloured, with a palette or transparent: it gets brighter from the left to the right, or darker."""
    ramp = Image.linear_gradient("L").rotate(90)
    image = ramp.convert("I").convert(mode) if mode == "I;16" else ramp.convert(mode)
    assert perceptual_hash(image) in ("f" * 64, "0" * 64)


@pytest.mark.parametrize("side", [30, 300])
def test_files_are_hashed_by_their_pixels(side: int) -> None:
    """The same picture as PNG and JPEG, small and large, is nearly the same; an upright one is not."""
    picture = Image.effect_noise((8, 8), 90).resize((side, side), Image.Resampling.BICUBIC)
    files = new_files(
        pl.DataFrame({"path": ["a.png", "a.jpg", "b.png", "a.png"]}),
        [
            encoded(picture, "PNG"),
            encoded(picture, "JPEG"),
            encoded(picture.rotate(90), "PNG"),
            encoded(picture, "PNG"),
        ],
    )
    one, other, upright = (int(found, 16) for found in perceptual_hashes(files).values())
    assert (one ^ other).bit_count() <= NEAR_BITS < (one ^ upright).bit_count()


def test_what_is_no_image_is_named() -> None:
    """Files of any kind can be asked for."""
    with pytest.raises(CodecError, match="no image"):
        perceptual_hashes(new_files(pl.DataFrame({"path": ["a"]}), [b"text"]))


@given(places=st.binary(min_size=272, max_size=272))
def test_bits_are_those_of_a_naive_comparison(places: bytes) -> None:
    """All differences at once are what each is alone."""
    rows = [places[start : start + 17] for start in range(0, 272, 17)]
    bits = "".join(str(int(right > left + 2)) for row in rows for left, right in itertools.pairwise(row))
    assert brighter_bits(places) == f"{int(bits, 2):064x}"
