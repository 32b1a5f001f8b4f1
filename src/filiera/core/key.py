"""The cache key of a step run, and which of its parts differs from another's."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import field

from filiera.core.digest import digest
from filiera.core.value import dataclass

_LAYOUT = b"1"
_PLACEHOLDER = b'{"$":"input","v":'
_PLACEHOLDERS = re.compile(rb'(?:\{"\$":"input","v":\d+\},?)+(?<!,)')
_NAMED = 3
"""So many changed inputs are named."""


@dataclass(frozen=True, kw_only=True)
class KeyParts:
    """All that a step's result can depend on. Equal parts, equal result; the parts are kept, to explain a miss."""

    closure: str  #: digest of the code it reaches, and the versions of the distributions that code imports
    arguments: Mapping[str, bytes]  #: per parameter, the plain value with placeholders for inputs
    inputs: tuple[tuple[str, str], ...]  #: per placeholder: where it comes from (for people), and codec:digest
    codecs: tuple[str, ...] = ()  #: encodings asked for, one per output, or none
    ignored: tuple[str, ...] = field(default=(), compare=False)  #: parameters that do not count, for people

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
        found += _argument_differences(name, old.arguments.get(name), new.arguments.get(name))
    if len(old.inputs) == len(new.inputs):
        found += _input_differences(old.inputs, new.inputs)
    elif old.arguments == new.arguments:
        found.append(f"it takes {_inputs(len(new.inputs))}, took {len(old.inputs)}")
    if old.codecs != new.codecs:
        found.append("encoding of the outputs changed")
    return found


def without_inputs(value: bytes) -> str:
    """Return an encoded argument for people: what comes from elsewhere is the word input, however often.

    >>> without_inputs(b'[1,{"$":"input","v":0},{"$":"input","v":1}]')
    '[1,input]'
    """
    return _PLACEHOLDERS.sub(b"input", value).decode("utf-8", "replace")


def _argument_differences(name: str, old: bytes | None, new: bytes | None) -> list[str]:
    if old == new:
        return []
    if old is None:
        return [f"parameter {name} is new: {_short(new or b'')}"]
    if new is None:
        return [f"parameter {name} is gone, it was {_short(old)}"]
    if without_inputs(old) != without_inputs(new):
        return [f"parameter {name} changed from {_short(old)} to {_short(new)}"]
    before, after = old.count(_PLACEHOLDER), new.count(_PLACEHOLDER)
    return [f"{name} takes {_inputs(after)}, took {before}"] if before != after else []  # else only their numbers did


def _input_differences(old: tuple[tuple[str, str], ...], new: tuple[tuple[str, str], ...]) -> list[str]:
    changed = list(dict.fromkeys(after[0] for before, after in zip(old, new, strict=True) if before[1] != after[1]))
    if len(changed) <= _NAMED:
        return [f"input from {origin} changed" for origin in changed]
    return [f"inputs from {', '.join(changed[:_NAMED])} and {len(changed) - _NAMED:,} more changed"]


def _inputs(count: int) -> str:
    return f"{count:,} input{'' if count == 1 else 's'}"


def _short(value: bytes) -> str:
    text = without_inputs(value)
    return text if len(text) <= 40 else text[:37] + "…"
