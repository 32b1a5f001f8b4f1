"""What there is to say of an image, from its bytes: facts, or why it is no sound image."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from filiera.adapters.sources.image_ends import problem_at_the_end
from filiera.core.files import IMAGE_FORMATS, MAX_PIXELS, PROBLEM

FACTS = ("width", "height", "channels", "mode", "format")
"""The columns that say what a sound image is."""

_ENOUGH = (128, 128)
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)

Facts = dict[str, Any]
"""The columns of ``FACTS``, or only ``problem``."""


def image_facts(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Facts:
    """Return the columns of a row that say what an image is, which was decoded; only ``problem`` when it is not sound.

    >>> image_facts(b"")
    {'problem': 'is empty'}
    """
    from PIL import Image, UnidentifiedImageError

    if not content:
        return {PROBLEM: "is empty"}
    try:
        image = Image.open(io.BytesIO(content), formats=IMAGE_FORMATS)
    except UnidentifiedImageError:
        return {PROBLEM: f"is none of {', '.join(IMAGE_FORMATS)}"}
    except Exception as error:  # noqa: BLE001 hostile bytes make decoders raise anything; it becomes the reason
        return {PROBLEM: _reason(error)}
    width, height = image.size
    if width * height > max_pixels:
        return {PROBLEM: f"is too large: {width:,} × {height:,} pixels, more than {max_pixels:,}"}
    kind, mode = str(image.format), image.mode
    problem = problem_at_the_end(content, kind)
    if problem:
        return {PROBLEM: problem}
    try:
        channels = len(image.getbands())
        turned = image.getexif().get(_ORIENTATION) in _TURNED if kind in ("JPEG", "TIFF", "WEBP", "MPO") else False
        if kind == "JPEG":
            image.draft("L", _ENOUGH)  # of which all bytes are read, and only so many pixels made
        image.load()
    except Exception as error:  # noqa: BLE001 same
        return {PROBLEM: _reason(error)}
    if turned:
        width, height = height, width
    return {"width": width, "height": height, "channels": channels, "mode": mode, "format": kind}


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Let our own limit of pixels count, and keep remarks about odd metadata out of the log."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _reason(error: BaseException) -> str:
    text = (str(error).strip().splitlines() or [""])[0]
    return "is cut off" if "truncated" in text.lower() else f"cannot be decoded: {text or type(error).__name__}"
