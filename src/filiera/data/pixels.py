"""Images as arrays: decoded when they are asked for, some at a time, by all processors."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from filiera.core.files import IMAGE_FORMATS, MAX_PIXELS, Files
from filiera.core.service import Refused
from filiera.errors import CodecError, UsageError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

_MODES = ("L", "RGB", "RGBA", "F")
_GLIMPSE = (128, 128)
_AHEAD = 2  # batches that wait for the model


class Batch(NamedTuple):
    """Some images, in the order of the table."""

    rows: pl.DataFrame  #: of the table, such as their labels
    pixels: NDArray[Any]  #: as ``pixels`` returns them


def pixels(files: Files, *, mode: str = "RGB", size: tuple[int, int] | None = None) -> NDArray[Any]:
    """Return all images as one array, shape ``(n, height, width, channels)``, or ``(n, height, width)`` of one channel.

    Args:
        files: Images, as ``type = "images"`` collects them.
        mode: ``"RGB"``, ``"RGBA"`` or ``"L"`` (grey), 0 to 255 as ``uint8``; ``"F"``: grey as ``float32``, not scaled,
            for images with more than 8 bits.
        size: Height and width to which images are scaled; without it all must have the same.

    Raises:
        UsageError: The mode is unknown, or images have several sizes and *size* does not say which it shall be.
        CodecError: A file is no image.
    """
    found = [batch.pixels for batch in batches(files, mode=mode, size=size)]
    return np.concatenate(found) if found else _stacked([], mode, size)


def batches(
    files: Files, rows: int = 256, *, mode: str = "RGB", size: tuple[int, int] | None = None
) -> Iterator[Batch]:
    """Yield the images as arrays of so many *rows*, the last perhaps of fewer; the next ones are decoded meanwhile.

    Shuffle the table to have them in another order: ``files.with_table(files.table.sample(fraction=1, shuffle=True))``.
    Other arguments, and what is raised, are as of ``pixels``.
    """
    if mode not in _MODES:
        raise UsageError(f"There is no mode {mode!r} of images.", why=f"There are: {', '.join(_MODES)}.")
    if rows < 1:
        raise UsageError(f"A batch has at least one image, got rows = {rows}.")
    waiting: deque[tuple[pl.DataFrame, list[Future[NDArray[Any]]]]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        try:
            for start in range(0, len(files), rows):
                part = files.table.slice(start, rows)
                found = [threads.submit(_decoded, files, digest, mode, size) for digest in part["digest"]]
                waiting.append((part, found))
                if len(waiting) > _AHEAD:
                    yield _batch(waiting.popleft(), mode, size)
            while waiting:
                yield _batch(waiting.popleft(), mode, size)
        finally:
            for _, futures in waiting:
                for future in futures:
                    future.cancel()


def pixels_of(
    content: bytes, *, mode: str = "RGB", size: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS
) -> NDArray[Any]:
    """Return one image that a caller of a service has sent, as ``pixels`` does for those of a dataset.

    Args:
        content: The image's bytes: PNG, JPEG, WebP, GIF, BMP, TIFF or PPM.
        mode: As in ``pixels``.
        size: As in ``pixels``; without it the image keeps its own.
        max_pixels: A larger image is refused before it is decoded: some kilobytes may say that they are gigabytes.

    Raises:
        Refused: It is no image that can be decoded, or has more pixels; callers are told with status 422.

    >>> pixels_of(b"GIF89a")
    Traceback (most recent call last):
    filiera.core.service.Refused: This is no image that can be decoded.
    """
    try:
        with Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as opened:
            width, height = opened.size
            if width * height <= max_pixels:
                return _array(ImageOps.exif_transpose(opened), mode, size)
    except Exception as error:
        raise Refused("This is no image that can be decoded.") from error
    raise Refused(f"The image has {width * height:,} pixels; {max_pixels:,} are taken.")


def image_of(files: Files, digest: str) -> Image.Image:
    """Return one image, turned as it is to be shown. Raises CodecError, and what ``Files.read`` does."""
    content = files.read(digest)
    with _decoding(digest), Image.open(io.BytesIO(content)) as opened:
        return ImageOps.exif_transpose(opened)


def glimpse_of(files: Files, digest: str) -> Image.Image:
    """Return what tells one image from others: not turned, and of a large JPEG only some 128 × 128 pixels, in grey.

    Raises what ``image_of`` does.
    """
    content = files.read(digest)
    with _decoding(digest), Image.open(io.BytesIO(content)) as opened:
        opened.draft("L", _GLIMPSE)
        opened.load()
        return opened


@contextmanager
def _decoding(digest: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise CodecError(
            f"The file {digest[:12]} is no image that can be decoded.",
            why=f"{type(error).__name__}: {error}",
            do='Collect it with type = "images", which sets such files aside.',
        ) from error


def _decoded(files: Files, digest: str, mode: str, size: tuple[int, int] | None) -> NDArray[Any]:
    return _array(image_of(files, digest), mode, size)


def _array(image: Image.Image, mode: str, size: tuple[int, int] | None) -> NDArray[Any]:
    if image.mode != mode:
        image = image.convert(mode)
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), reducing_gap=3.0)
    return np.asarray(image)


def _batch(waiting: tuple[pl.DataFrame, list[Future[NDArray[Any]]]], mode: str, size: tuple[int, int] | None) -> Batch:
    part, found = waiting
    return Batch(part, _stacked([future.result() for future in found], mode, size))


def _stacked(arrays: list[NDArray[Any]], mode: str, size: tuple[int, int] | None) -> NDArray[Any]:
    shapes = sorted({array.shape[:2] for array in arrays})
    if len(shapes) > 1:
        shown = ", ".join(f"{height} × {width}" for height, width in shapes[:3])
        raise UsageError(
            f"The images have {len(shapes)} sizes, such as {shown} (height × width).",
            why="An array holds images of one size.",
            do="Say which: size=(height, width); or keep those of one size: files.where(…).",
        )
    if arrays:
        return np.stack(arrays)
    channels = {"RGB": (3,), "RGBA": (4,)}.get(mode, ())
    return np.empty((0, *(size or (0, 0)), *channels), dtype=np.float32 if mode == "F" else np.uint8)
