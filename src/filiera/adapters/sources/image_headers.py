"""Small images whose beginnings are known, told sound without a decoder.

Images that one program has written begin alike: size, mode, palette and tables stand before the pixels. Where these
bytes equal those of an image that was decoded, only what follows is new, and in two formats that is checked in a few
microseconds: of PNG the checksums, that the pixels decompress to as many bytes as they are, and that each line names a
filter that exists; of JPEG with one scan, that the end follows it, and that the file ends there. No more decides
whether Pillow can decode them. For the smallest images decoding takes ten times as long.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from filiera.adapters.sources.image_ends import JPEG_MARKER, ZIP_END
from filiera.adapters.sources.image_facts import Facts, image_facts
from filiera.core.files import MAX_PIXELS, PROBLEM

_SMALL_BYTES = 1 << 16  # of larger ones the pixels are what takes time, however they are looked at
_MOST_KNOWN = 1 << 10
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER_BYTES = 33  # with the part that says size and depth
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by type of colour
_PNG_FILTERS = 4
_JPEG_START, _SCAN, _JPEG_END = b"\xff\xd8", 0xDA, 0xD9
_ONE_SCAN = {0xC0, 0xC4, 0xDB, 0xDD, 0xFE, _SCAN, *range(0xE0, 0xF0)}  # size, tables, restarts, remarks
_number_at = struct.Struct(">I").unpack_from
_segment_at = struct.Struct(">BBH").unpack_from


class ImageLooker:
    """Says of images what ``image_facts`` does, and remembers how those began that were decoded."""

    def __init__(self, *, max_pixels: int = MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
        self._known: dict[bytes, _Beginning] = {}

    def facts(self, content: bytes) -> Facts:
        """Return the facts of an image, or only its problem."""
        start = _start(content) if len(content) <= _SMALL_BYTES else b""
        beginning = self._known.get(start)
        if beginning is not None and ZIP_END not in content and _goes_on_soundly(content, len(start), beginning):
            return beginning.facts
        facts = image_facts(content, max_pixels=self._max_pixels)
        if start and beginning is None and PROBLEM not in facts:
            self._learn(start, facts)
        return facts

    def _learn(self, start: bytes, facts: Facts) -> None:
        learned = _png_beginning(start, facts) if facts["format"] == "PNG" else _jpeg_beginning(start, facts)
        if learned is not None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[start] = learned


class _Beginning(NamedTuple):
    facts: Facts
    line_bytes: int = 0  #: of PNG, with the byte that names the filter
    pixels_bytes: int = 0  #: of PNG: all lines


def _start(content: bytes) -> bytes:
    """Return what seems to stand before the pixels; "" if that is not known of the format."""
    if content.startswith(_PNG_SIGNATURE):
        return content[: max(0, content.find(b"IDAT", _PNG_HEADER_BYTES) - 4)]
    at = content.find(b"\xff\xda") if content.startswith(_JPEG_START) else -1
    return content[: at + 2 + int.from_bytes(content[at + 2 : at + 4])] if at > 0 else b""


def _goes_on_soundly(content: bytes, at: int, beginning: _Beginning) -> bool:
    if beginning.line_bytes:
        return _is_png_sound(content, at, beginning)
    found = JPEG_MARKER.search(content, at)
    return found is not None and found.end() == len(content) and content[-1] == _JPEG_END


def _is_png_sound(content: bytes, at: int, beginning: _Beginning) -> bool:
    parts = []
    while content[at + 4 : at + 8] == b"IDAT":
        end = at + 8 + int(_number_at(content, at)[0])
        if end + 4 > len(content) or zlib.crc32(content[at + 4 : end]) != _number_at(content, end)[0]:
            return False
        parts.append(content[at + 8 : end])
        at = end + 4
    if content[at:] != _PNG_END:
        return False
    inflating = zlib.decompressobj()
    try:
        pixels = inflating.decompress(parts[0] if len(parts) == 1 else b"".join(parts), beginning.pixels_bytes + 1)
    except zlib.error:
        return False
    is_whole = len(pixels) == beginning.pixels_bytes and inflating.eof
    return is_whole and max(pixels[:: beginning.line_bytes]) <= _PNG_FILTERS


def _png_beginning(start: bytes, facts: Facts) -> _Beginning | None:
    """Return what a decoded image's *start* says of others; None if it is not all before the pixels, or interlaced."""
    at = len(_PNG_SIGNATURE)
    while at + 4 <= len(start):
        at += 12 + int(_number_at(start, at)[0])
    depth, colour, _, _, is_interlaced = start[24 : _PNG_HEADER_BYTES - 4]
    if at != len(start) or is_interlaced or b"acTL" in start:  # several images in one
        return None
    line_bytes = 1 + (facts["width"] * _PNG_SAMPLES[colour] * depth + 7) // 8
    return _Beginning(facts, line_bytes, line_bytes * facts["height"])


def _jpeg_beginning(start: bytes, facts: Facts) -> _Beginning | None:
    """Return what a decoded image's *start* says of others; None if more can stand behind it than one scan."""
    at, kinds = len(_JPEG_START), []
    while at + 4 <= len(start):
        marker, kind, size_bytes = _segment_at(start, at)
        if marker != 0xFF or (kind == _SCAN and at + 2 + size_bytes != len(start)):
            return None
        kinds.append(kind)
        at += 2 + size_bytes
    is_simple = at == len(start) and kinds[-1:] == [_SCAN] and _ONE_SCAN.issuperset(kinds)
    return _Beginning(facts) if is_simple and facts["format"] == "JPEG" else None
