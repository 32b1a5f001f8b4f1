"""Where an image ends inside its file: what follows is something else, and an image without an end was cut off.

Decoders forgive both. A file that is an image to one program and an archive or a page to another is called polyglot.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Mapping

# A marker other than those that stand inside compressed data (stuffed zeros, restarts, fill bytes).
JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
ZIP_END = b"PK\x05\x06"
_ZIP_COMMENT_BYTES = 1 << 16


def problem_at_the_end(content: bytes, kind: str) -> str:
    """Return what is wrong with the end of an image of a *kind* such as "PNG", or with its checksums; "" if nothing.

    >>> problem_at_the_end(b"GIF89a", "GIF")
    'is cut off'
    """
    try:
        end = _ENDS[kind](content) if kind in _ENDS else len(content)
    except (struct.error, IndexError):
        return "is cut off"
    except ValueError as error:
        return str(error)
    if end > len(content):
        return "is cut off"
    if _is_zip(content):
        return "is a zip archive, too"
    rest = content[end:]
    return f"goes on for {len(rest):,} bytes behind the image" if rest.strip(b"\0\r\n\t ") else ""


def _png(content: bytes) -> int:
    at = 8
    while True:
        size_bytes: int
        size_bytes, kind = struct.unpack_from(">I4s", content, at)
        (checksum,) = struct.unpack_from(">I", content, at + 8 + size_bytes)
        if zlib.crc32(content[at + 4 : at + 8 + size_bytes]) != checksum:
            raise ValueError(f"is damaged: the checksum of its part {kind.decode('latin-1')} at byte {at:,} is wrong")
        at += 12 + size_bytes
        if kind == b"IEND":
            return at


def _jpeg(content: bytes) -> int:
    at = 2
    while True:
        found = JPEG_MARKER.search(content, at)
        if found is None:
            raise IndexError
        at, marker = found.end(), content[found.end() - 1]
        if marker == 0xD9:
            return at
        if marker not in (0x01, 0xD8):
            at += struct.unpack_from(">H", content, at)[0]


def _gif(content: bytes) -> int:
    at = 13 + _gif_colours(content[10])
    while True:
        block = content[at]
        if block == 0x3B:
            return at + 1
        if block == 0x2C:
            at += 11 + _gif_colours(content[at + 9])
        elif block == 0x21:
            at += 2
        else:
            raise ValueError(f"is damaged: an unknown block at byte {at:,}")
        while content[at]:
            at += 1 + content[at]
        at += 1


def _gif_colours(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(content: bytes) -> int:
    size_bytes = int(struct.unpack_from("<I", content, 4)[0])
    return 8 + size_bytes + size_bytes % 2


def _bmp(content: bytes) -> int:
    return int(struct.unpack_from("<I", content, 2)[0]) or len(content)


_ENDS: Mapping[str, Callable[[bytes], int]] = {"PNG": _png, "JPEG": _jpeg, "GIF": _gif, "WEBP": _webp, "BMP": _bmp}


def _is_zip(content: bytes) -> bool:
    """Tell whether *content* ends as a zip archive does, whose readers look for the end only."""
    at = content.rfind(ZIP_END, -(22 + _ZIP_COMMENT_BYTES))
    if at < 0 or at + 22 > len(content):
        return False
    (comment_bytes,) = struct.unpack_from("<H", content, at + 20)
    return at + 22 + int(comment_bytes) == len(content)
