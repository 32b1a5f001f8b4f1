"""Artifacts made of artifacts: a manifest that names the parts of a list or dataclass that is not all plain data.

A manifest has a line of JSON that says ``"list"``, ``"tuple"`` or the name of a dataclass, and one for each item or
field: digest, codec, size, and, when the part is small, its bytes in base64. Lines can be written while the parts are
made, and name them without loading.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Sequence
from typing import Any

from filiera.core import plain
from filiera.core.artifact import ArtifactRef

PARTS_CODEC = "parts/1"
"""The name of this encoding."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_LISTS: dict[str, type[list[Any]] | type[tuple[Any, ...]]] = {"list": list, "tuple": tuple}


def write_kind(kind: type) -> bytes:
    """Return the first line of a manifest, for a list, a tuple or a dataclass.

    Raises:
        TypeError: A class that no module can be asked for.
    """
    name = kind.__name__ if kind in (list, tuple) else plain.findable(kind, "the value")
    return b'"%s"\n' % name.encode()


def write_part(ref: ArtifactRef) -> bytes:
    """Return the line of a manifest that names one part.

    >>> write_part(ArtifactRef(digest="0" * 64, codec="json/1", size_bytes=2, inline=b"42"))[68:]
    b'"json/1",2,"NDI="]\\n'
    """
    # Not by json.dumps of a list: a thousand parts take 1 ms instead of 5.
    codec = _ENCODER.encode(ref.codec)
    if ref.inline is None:
        return f'["{ref.digest}",{codec},{ref.size_bytes}]\n'.encode()
    content = binascii.b2a_base64(ref.inline, newline=False).decode()
    return f'["{ref.digest}",{codec},{ref.size_bytes},"{content}"]\n'.encode()


def read_parts(manifest: bytes) -> tuple[str, tuple[ArtifactRef, ...]]:
    """Return "list", "tuple" or the name of a dataclass, which need not be loaded, and the parts in order.

    Raises:
        ValueError: The bytes are not a manifest.

    >>> read_parts(write_kind(tuple))
    ('tuple', ())
    """
    if not manifest.endswith(b"\n"):
        raise ValueError("the last line of the manifest is cut")
    try:
        kind, *parts = json.loads(b"[" + manifest[:-1].replace(b"\n", b",") + b"]")
        if kind not in _LISTS and ":" not in kind:
            raise ValueError(f"not a manifest of parts, but of a {kind}")
        return kind, tuple([_part(*part) for part in parts])
    except TypeError as error:
        raise ValueError(f"not a manifest of parts: {error}") from error


def is_list(kind: str) -> bool:
    """Tell whether a manifest of this kind is of a list or tuple, so that its parts are items."""
    return kind in _LISTS


def put_together(kind: str, values: Sequence[Any]) -> Any:
    """Return the list, tuple or dataclass that is made of the loaded parts.

    Raises:
        ValueError: The class is not in a loaded module, or has other fields by now.

    >>> put_together("tuple", [1, 2])
    (1, 2)
    """
    if kind in _LISTS:
        return _LISTS[kind](values)
    found = plain.dataclass_named(kind)
    return found(**dict(zip(plain.fields_of(found), values, strict=True)))


def _part(digest: str, codec: str, size_bytes: int, content: str | None = None) -> ArtifactRef:
    inline = None if content is None else binascii.a2b_base64(content)
    return ArtifactRef(digest=digest, codec=codec, size_bytes=size_bytes, inline=inline)


def split_plain(content: bytes) -> Sequence[bytes]:
    """Return the encoded items of a list, tuple or set that ``plain.encode`` wrote, without making the values.

    Raises:
        ValueError: It is another plain value, or not one.

    >>> split_plain(b'{"$":"tuple","v":[1,"b"]}')
    [b'1', b'"b"']
    """
    found = json.loads(content.decode("utf-8", "surrogatepass"))
    if isinstance(found, dict) and found.get("$") in ("tuple", "set", "frozenset"):
        found = found["v"]
    if not isinstance(found, list):
        raise ValueError("the value is not a list, tuple or set")
    return [_ENCODER.encode(item).encode("utf-8", "surrogatepass") for item in found]
