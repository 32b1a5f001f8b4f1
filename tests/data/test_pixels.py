"""Images as arrays: in the order of the table, in the mode and size that is asked for."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from filiera.core.files import Files
from filiera.data.new_files import new_files
from filiera.data.pixels import batches, pixels
from filiera.errors import CodecError, UsageError


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def files_of(images: list[Image.Image]) -> Files:
    return new_files(pl.DataFrame({"number": range(len(images))}), [encoded(image) for image in images])


def test_pixels_are_those_of_the_images() -> None:
    """Lossless images come back exactly, with height before width."""
    values = np.random.default_rng(0).integers(0, 256, (7, 5, 4, 3), dtype=np.uint8)
    files = files_of([Image.fromarray(one) for one in values])
    assert np.array_equal(pixels(files), values)
    grey = pixels(files, mode="L")
    assert (grey.shape, grey.dtype) == ((7, 5, 4), np.uint8)
    assert pixels(files, mode="RGBA").shape == (7, 5, 4, 4)


def test_batches_come_in_order() -> None:
    """Each batch has its rows; the last one has what is left."""
    files = files_of([Image.new("L", (2, 2), shade) for shade in range(10)])
    found = list(batches(files, 4, mode="L"))
    assert [batch.rows["number"].to_list() for batch in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [batch.pixels[:, 0, 0].tolist() for batch in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_only_what_is_asked_for_is_decoded() -> None:
    """A loop that ends early does not wait for the rest."""
    files = new_files(pl.DataFrame({"number": range(100)}), [encoded(Image.new("L", (2, 2)))] * 50 + [b"no image"] * 50)
    assert len(next(iter(batches(files, 5))).rows) == 5


def test_sizes_are_made_one() -> None:
    """Images of several sizes need a word on which it shall be."""
    files = files_of([Image.new("L", (4, 6), 9), Image.new("L", (8, 2), 9)])
    with pytest.raises(UsageError, match="The images have 2 sizes, such as 2 × 8, 6 × 4"):
        pixels(files)
    scaled = pixels(files, mode="L", size=(3, 5))
    assert scaled.shape == (2, 3, 5)
    assert (scaled == 9).all()


def test_deep_images_keep_their_depth() -> None:
    """Sixteen bits are not cut to eight."""
    values = np.array([[0, 300], [40_000, 65_535]], dtype=np.uint16)
    found = pixels(files_of([Image.fromarray(values)]), mode="F")
    assert found.dtype == np.float32
    assert np.array_equal(found[0], values)


def test_a_turned_photograph_is_upright() -> None:
    """As it is measured when it is collected."""
    turned = Image.Exif()
    turned[0x0112] = 6
    content = encoded(Image.new("RGB", (30, 10)), "JPEG", exif=turned)
    assert pixels(new_files(pl.DataFrame({"a": [1]}), [content])).shape == (1, 30, 10, 3)


def test_nothing_is_an_empty_array() -> None:
    """No image, but the shape that images would have."""
    none = new_files(pl.DataFrame({"a": []}), [])
    assert pixels(none, size=(3, 4)).shape == (0, 3, 4, 3)
    assert list(batches(none)) == []


def test_wrong_requests_are_told() -> None:
    """Modes that do not exist, batches of nothing, files that are no images."""
    files = files_of([Image.new("L", (2, 2))])
    with pytest.raises(UsageError, match="no mode 'BGR'"):
        pixels(files, mode="BGR")
    with pytest.raises(UsageError, match="at least one image"):
        next(batches(files, 0))
    with pytest.raises(CodecError, match="no image that can be decoded"):
        pixels(new_files(pl.DataFrame({"a": [1]}), [b"no image"]))
