"""Images in folders and archives: each is decoded once, to know that it can be."""

from __future__ import annotations

import io
import os
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from blake3 import blake3

from filiera.adapters.sources import file_trees
from filiera.adapters.sources.archives import Member
from filiera.adapters.sources.entries import check_options, fingerprint, no_rows
from filiera.adapters.sources.file_paths import FilePaths, file_paths, is_file_paths
from filiera.adapters.sources.image_ends import problem_at_the_end
from filiera.core.collected import Collected
from filiera.core.files import PROBLEM, Files
from filiera.core.task import Entry
from filiera.errors import SourceError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""Those whose decoders are safe: others, such as EPS, would start programs."""
MAX_PIXELS = 100_000_000
"""A photograph has 10 to 60 million; decoded, this many take 400 MB."""

_COLUMNS = ("path", "digest", "width", "height", "channels", "mode", "format", "size_bytes", "perceptual_hash", PROBLEM)
_TOGETHER_BYTES, _TOGETHER = 1 << 19, 64  # small images are looked at in lots: handing one over costs half its decoding
_AHEAD = 4  # lots that wait for each thread
_SIDE = 16
_ENOUGH = (128, 128)
_ROWS = range(0, _SIDE * (_SIDE + 1), _SIDE + 1)
_BIAS = int.from_bytes(b"\x7f\xfd" * (_SIDE * (_SIDE + 1)))  # with it a difference of 3 or more has the highest bit
_AS_DIGITS = b"0" * 128 + b"1" * 128
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)


class ImagesSource:
    """Reads ``type = "images"``: ``Files`` whose table says of each image what it is.

    Options: ``path`` (see ``file_paths``); ``max_pixels``, above which an image is set aside unread.
    """

    def check(self, entry: Entry) -> None:
        """Refuse missing, unknown or mistyped options. Raises ProjectError."""
        check_options(entry, {"path": _is_path, "max_pixels": _is_count})

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest of the files' names and bytes. Raises SourceError."""
        content = file_trees.content_of(file_paths(entry, root))
        return fingerprint(entry, reader="images/1", content=content)

    def read(self, entry: Entry, root: Path, collected: Collected) -> Files:
        """Return all files that are meant; what is no sound image is set aside. Raises SourceError."""
        import polars as pl

        paths = file_paths(entry, root)
        collected.place = str(paths.base)
        good: list[dict[str, Any]] = []
        bad: list[dict[str, Any]] = []
        collector = file_trees.FileCollector()
        try:
            for look in _looks(paths, int(entry.get("max_pixels", MAX_PIXELS))):
                collected.files, collected.size_bytes = collected.files + 1, collected.size_bytes + look.size_bytes
                collector.add(look.digest, look.content, look.member.file)
                row = {"path": look.member.path, "digest": look.digest, "size_bytes": look.size_bytes}
                row |= paths.labels(look.member.path) or {}
                (bad if PROBLEM in look.facts else good).append(row | look.facts)
            if not good:
                raise _none_good(paths, bad)
            table = file_trees.as_table(good, _schema(paths, pl))
            return collector.finish(table, file_trees.as_table(bad, file_trees.rejected_schema(paths)))
        except BaseException:
            collector.discard()
            raise


class _Look(NamedTuple):
    member: Member
    digest: str
    size_bytes: int
    content: bytes
    facts: dict[str, Any]  #: columns of its row


def _is_path(value: Any) -> str:
    return is_file_paths(value, reserved=_COLUMNS)


def _is_count(value: Any) -> str:
    is_good = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return "" if is_good else "needs a whole number above 0"


def _schema(paths: FilePaths, pl: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(("path", *paths.names, "digest"), pl.String),
        **dict.fromkeys(("width", "height"), pl.UInt32),
        "channels": pl.UInt8,
        **dict.fromkeys(("mode", "format"), pl.String),
        "size_bytes": pl.UInt64,
        "perceptual_hash": pl.String,
    }


def _looks(paths: FilePaths, max_pixels: int) -> Iterator[_Look]:
    """Yield what there is to say of each file, in order, looked at by all processors."""
    slots = os.cpu_count() or 1
    waiting: deque[Future[list[_Look]]] = deque()
    with _quiet_pillow(), file_trees.members(paths) as found, ThreadPoolExecutor(slots) as threads:
        try:
            for lot in _lots(found):
                waiting.append(threads.submit(_look_at, lot, max_pixels))
                if len(waiting) > _AHEAD * slots:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _lots(members: Iterator[Member]) -> Iterator[list[Member]]:
    lot: list[Member] = []
    size_bytes = 0
    for member in members:
        lot.append(member)
        size_bytes += member.size_bytes
        if size_bytes >= _TOGETHER_BYTES or len(lot) >= _TOGETHER:
            yield lot
            lot, size_bytes = [], 0
    if lot:
        yield lot


def _look_at(lot: Sequence[Member], max_pixels: int) -> list[_Look]:
    found = []
    for member in lot:
        content = member.read()
        facts = image_facts(content, max_pixels=max_pixels)
        found.append(_Look(member, blake3(content).hexdigest(), len(content), content, facts))
    return found


def image_facts(content: bytes, *, max_pixels: int = MAX_PIXELS) -> dict[str, Any]:
    """Return the columns of a row that say what an image is; only ``problem`` when it is no sound image.

    >>> image_facts(b"")
    {'problem': 'is empty'}
    """
    from PIL import Image, UnidentifiedImageError

    if not content:
        return {PROBLEM: "is empty"}
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        return {PROBLEM: f"is none of {', '.join(FORMATS)}"}
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
        likeness = perceptual_hash(image)
    except Exception as error:  # noqa: BLE001 same
        return {PROBLEM: _reason(error)}
    if turned:
        width, height = height, width
    return {
        "width": width,
        "height": height,
        "channels": channels,
        "mode": mode,
        "format": kind,
        "perceptual_hash": likeness,
    }


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


def _reason(error: BaseException) -> str:
    text = (str(error).strip().splitlines() or [""])[0]
    return "is cut off" if "truncated" in text.lower() else f"cannot be decoded: {text or type(error).__name__}"


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Let our own limit count, and keep remarks about odd metadata out of the log."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _none_good(paths: FilePaths, bad: Sequence[dict[str, Any]]) -> SourceError:
    if not bad:
        return no_rows(paths.base / paths.pattern)
    first = bad[0]
    return SourceError(
        f"{paths.base / paths.pattern} has no sound image among {len(bad):,} files.",
        why=f"The first, {first['path']}, {first[PROBLEM]}.",
        do='Correct path in the catalog, or use type = "files" for files that are no images.',
    )
