"""How the items of a stream stand in a body, so that its end, or its failure, is told from a cut connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from filiera.core.value import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Framing:
    """One way of writing a stream."""

    media_type: str
    item: Callable[[bytes], bytes]  #: takes JSON
    done: Callable[[Mapping[str, Any]], bytes]  #: after the last item
    problem: Callable[[Mapping[str, Any]], bytes]  #: in place of what would have come


def _line(key: str, content: object) -> bytes:
    return msgspec.json.encode({key: content}) + b"\n"


def _event(name: str, content: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(content))


LINES = Framing(
    media_type="application/x-ndjson",
    item=lambda content: b'{"item":%b}\n' % content.replace(b"\n", b" "),
    done=lambda head: _line("done", head),
    problem=lambda problem: _line("problem", problem),
)
"""One JSON object a line: ``{"item": …}``, then ``{"done": …}`` or ``{"problem": …}``."""
EVENTS = Framing(
    media_type="text/event-stream",
    item=lambda content: b"data: %b\n\n" % content.replace(b"\n", b" "),
    done=lambda head: _event("done", head),
    problem=lambda problem: _event("problem", problem),
)
"""Server-sent events: each item a message, then an event ``done`` or ``problem``."""
