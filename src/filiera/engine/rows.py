"""Values as the text that the records keep, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from filiera.core import plain
from filiera.core.artifact import ArtifactRef
from filiera.core.events import Event, StepHit, StepSucceeded
from filiera.core.key import KeyParts
from filiera.ports import Row

FindInline = Callable[[str, str], bytes | None]
"""Returns the bytes of a small artifact by digest and codec."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def to_text(content: bytes) -> str:
    """Return JSON bytes as text that every database takes: half a surrogate pair, which Python allows, is escaped.

    >>> to_text('"\\udcff"'.encode("utf-8", "surrogatepass"))
    '"\\\\udcff"'
    """
    return _escape(content.decode("utf-8", "surrogatepass"))


def _escape(text: str) -> str:
    return _LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write_refs(refs: Iterable[ArtifactRef]) -> str:
    """Return artifacts as ``digest codec size;…``, without their bytes."""
    return ";".join(f"{ref.digest} {ref.codec} {ref.size_bytes}" for ref in refs)


def read_refs(text: str, inline: FindInline) -> tuple[ArtifactRef, ...]:
    """Return the artifacts that ``write_refs`` wrote, small ones with their bytes."""
    found = []
    for item in text.split(";") if text else ():
        digest, codec, size = item.split(" ")
        found.append(ArtifactRef(digest=digest, codec=codec, size_bytes=int(size), inline=inline(digest, codec)))
    return tuple(found)


def write_arguments(arguments: dict[str, bytes]) -> str:
    """Return encoded parameters as one JSON object."""
    return "{" + ",".join(f"{json.dumps(name)}:{to_text(value)}" for name, value in arguments.items()) + "}"


def read_arguments(text: str) -> dict[str, bytes]:
    """Return the parameters that ``write_arguments`` wrote, each still encoded."""
    values = json.loads(text or "{}")
    return {
        name: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        for name, value in values.items()
    }


def read_key_parts(row: Row) -> KeyParts:
    """Return the parts of the key of a recorded step run."""
    recorded = json.loads(row["inputs"] or "{}")
    return KeyParts(
        closure=row["closure_digest"],
        arguments=read_arguments(row["arguments"]),
        inputs=tuple((origin, identity) for origin, identity in recorded.get("inputs", ())),
        codecs=tuple(recorded.get("codecs", ())),
    )


def write_inputs(parts: KeyParts) -> str:
    """Return the inputs of a key as JSON."""
    return json.dumps({"inputs": parts.inputs, "codecs": parts.codecs}, separators=(",", ":"))


def write_event(event: Event) -> str:
    """Return an event as JSON; small outputs without their bytes, which the artifact's own record has."""
    if isinstance(event, StepSucceeded | StepHit):
        event = replace(event, outputs=tuple(replace(ref, inline=None) for ref in event.outputs))
    return to_text(plain.encode(event))


def read_event(text: str) -> Event:
    """Return the event that ``write_event`` wrote. Raises ValueError."""
    event: Event = plain.decode(text.encode())
    return event


def to_json(value: Any) -> str:
    """Return plain JSON with sorted keys, for columns that people and scripts read."""
    return _escape(json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")))
