"""Perceptual hashes: numbers that images which look alike have nearly all bits of in common."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from filiera.core.files import Files
from filiera.data.pixels import glimpse_of

if TYPE_CHECKING:
    from PIL import Image

_SIDE = 16
_ROWS = range(0, _SIDE * (_SIDE + 1), _SIDE + 1)
_BIAS = int.from_bytes(b"\x7f\xfd" * (_SIDE * (_SIDE + 1)))  # with it a difference of 3 or more has the highest bit
_AS_DIGITS = b"0" * 128 + b"1" * 128
_SMALL_BYTES = 1 << 14  # in the mean: for smaller images threads wait for each other longer than they decode


def perceptual_hashes(files: Files) -> dict[str, str]:
    """Return by digest the perceptual hash of each image, 64 hex digits; all are decoded, by all processors.

    ``near_pairs`` of ``filiera.data.near_images`` finds those that are alike.

    Raises:
        CodecError: A file is no image.
    """
    digests: list[str] = files.table["digest"].unique(maintain_order=True).to_list()

    def hashed(digest: str) -> str:
        return perceptual_hash(glimpse_of(files, digest))

    size_bytes = sum(place.size_bytes for members in files.packs().values() for _, place in members)
    if size_bytes < _SMALL_BYTES * len(digests):
        return dict(zip(digests, map(hashed, digests), strict=True))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return dict(zip(digests, threads.map(hashed, digests), strict=True))


def perceptual_hash(image: Image.Image) -> str:
    """Return 64 hex digits, 256 bits, of which images that look alike have nearly all in common.

    Source:
        The difference hash of N. Krawetz, "Kind of Like That" (2013), with 16 × 16 places instead of 8 × 8, each of
        which tells whether the place right of it is brighter, by more than what compression adds.
    """
    size = (_SIDE + 1, _SIDE)
    if image.mode.startswith(("I", "F")):  # 16 bits and more: as grey they would be cut at 255
        deep = image.convert("F").resize(size, reducing_gap=2.0)
        low, high = deep.getextrema()
        scale = 255 / (high - low) if high > low else 0.0  # type: ignore[operator]
        small = deep.point(lambda value: value * scale - low * scale).convert("L")  # type: ignore[operator]
    else:
        small = (image if image.mode == "L" else image.convert("L")).resize(size, reducing_gap=2.0)
    return brighter_bits(small.tobytes())


def brighter_bits(places: bytes) -> str:
    """Return as 64 hex digits which of 16 × 16 places have a brighter one right of them; the 17th of a row has none.

    >>> brighter_bits(bytes(range(0, 51, 3)) * 16) == "f" * 64, brighter_bits(bytes(272)) == "0" * 64
    (True, True)
    """
    # All at once, as one long number with 16 bits for each place: 5 µs, where a loop takes 25, a third of decoding.
    wide = bytearray(2 * len(places))
    wide[1::2] = places
    left = int.from_bytes(wide)
    right = left << 16 & (1 << 16 * len(places)) - 1
    differences = (right + _BIAS - left).to_bytes(2 * len(places))
    signs = differences[::2].translate(_AS_DIGITS)
    return f"{int(b''.join([signs[start : start + _SIDE] for start in _ROWS]), 2):064x}"
