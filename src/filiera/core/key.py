"""The cache key of a step run, and which of its parts differs from another's."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from filiera.core.digest import digest

_LAYOUT = b"1"


@dataclass(frozen=True, kw_only=True)
class KeyParts:
    """All that a step's result can depend on. Equal parts, equal result; the parts are kept, to explain a miss."""

    closure: str  #: digest of the code it reaches, and the versions of the distributions that code imports
    arguments: Mapping[str, bytes]  #: per parameter, the plain value with placeholders for inputs
    inputs: tuple[tuple[str, str], ...]  #: per placeholder: where it comes from (for people), and codec:digest
    codecs: tuple[str, ...] = ()  #: encodings asked for, one per output, or none

    @functools.cached_property
    def key(self) -> str:
        """Return the cache key: 64 hex digits."""
        arguments = [part for name, value in self.arguments.items() for part in (name.encode(), value)]
        inputs = [identity.encode() for _, identity in self.inputs]
        sizes = f"{len(arguments)},{len(inputs)},{len(self.codecs)}".encode()
        codecs = [codec.encode() for codec in self.codecs]
        return digest("key/1", _LAYOUT, sizes, self.closure.encode(), *arguments, *inputs, *codecs)

    def take_key(self, key: str) -> None:
        """Take the key that equal parts are known to have, instead of computing it."""
        self.__dict__["key"] = key


def differences(old: KeyParts, new: KeyParts) -> list[str]:
    """Return what differs between two keys of one step, in words; code is compared by digest only.

    >>> old = KeyParts(closure="c", arguments={"depth": b"3"}, inputs=())
    >>> differences(old, KeyParts(closure="c", arguments={"depth": b"4"}, inputs=()))
    ['parameter depth changed from 3 to 4']
    """
    found = []
    if old.closure != new.closure:
        found.append("code changed")
    for name in dict.fromkeys((*old.arguments, *new.arguments)):
        before, after = old.arguments.get(name), new.arguments.get(name)
        if before == after:
            continue
        if before is None or after is None:
            found.append(f"parameter {name} is {'new' if before is None else 'gone'}")
        else:
            found.append(f"parameter {name} changed from {_short(before)} to {_short(after)}")
    found += _input_differences(old.inputs, new.inputs)
    if old.codecs != new.codecs:
        found.append("encoding of the outputs changed")
    return found


def _input_differences(old: tuple[tuple[str, str], ...], new: tuple[tuple[str, str], ...]) -> list[str]:
    found = [f"input from {after[0]} changed" for before, after in zip(old, new, strict=False) if before[1] != after[1]]
    if len(old) != len(new):
        found.append(f"it has {len(new)} inputs, had {len(old)}")
    return found


def _short(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    return text if len(text) <= 40 else text[:37] + "…"
