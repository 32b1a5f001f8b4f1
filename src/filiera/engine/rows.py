"""Values as the text that the records keep, and back."""

from __future__ import annotations

import json
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from math import isfinite
from typing import Any, get_args

from filiera.core.artifact import ArtifactRef
from filiera.core.compact import compact_writer
from filiera.core.events import Event
from filiera.core.key import KeyParts
from filiera.core.logged import Logged, Summary
from filiera.core.task import Failure, LogSpan
from filiera.ports import Row

FindInline = Callable[[str, str], bytes | None]
"""Returns the bytes of a small artifact by digest and codec."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_write_text = compact_writer(ascii_only=False)
write_json = compact_writer(ascii_only=True)  # half a surrogate pair is escaped like all else


def to_text(content: bytes) -> str:
    """Return JSON bytes as text that every database takes: half a surrogate pair, which Python allows, is escaped.

    >>> to_text('"\\udcff"'.encode("utf-8", "surrogatepass"))
    '"\\\\udcff"'
    """
    return content.decode() if content.isascii() else _escape(content.decode("utf-8", "surrogatepass"))


def _escape(text: str) -> str:
    return _LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write_refs(refs: Iterable[ArtifactRef]) -> str:
    """Return artifacts as ``digest codec size;…``, without their bytes."""
    return ";".join([f"{ref.digest} {ref.codec} {ref.size_bytes}" for ref in refs])


def write_whole_refs(refs: Iterable[ArtifactRef]) -> str:
    """Return artifacts as ``write_refs`` does, small ones with their bytes: who reads it need not look for them."""
    written = []
    for ref in refs:
        content = "" if ref.inline is None else f" {b2a_base64(ref.inline, newline=False).decode()}"
        written.append(f"{ref.digest} {ref.codec} {ref.size_bytes}{content}")
    return ";".join(written)


def read_refs(text: str, inline: FindInline | None = None) -> tuple[ArtifactRef, ...]:
    """Return the artifacts that were written; small ones with their bytes, as written or found."""
    found = []
    for item in text.split(";") if text else ():
        digest, codec, size, *content = item.split(" ")
        if content:
            whole: bytes | None = a2b_base64(content[0])
        else:
            whole = inline(digest, codec) if inline is not None else None
        found.append(ArtifactRef(digest=digest, codec=codec, size_bytes=int(size), inline=whole))
    return tuple(found)


def write_arguments(arguments: Mapping[str, bytes]) -> str:
    """Return encoded parameters as one JSON object."""
    return "{" + ",".join([f"{write_json(name)}:{to_text(value)}" for name, value in arguments.items()]) + "}"


def read_arguments(text: str) -> dict[str, bytes]:
    """Return the parameters that ``write_arguments`` wrote, each still encoded."""
    values = json.loads(text or "{}")
    return {name: _write_text(value).encode("utf-8", "surrogatepass") for name, value in values.items()}


def read_key_parts(row: Row) -> KeyParts:
    """Return the parts of the key of a recorded step run."""
    inputs, codecs = read_inputs(row["inputs"])
    return KeyParts(
        closure=row["closure_digest"], arguments=read_arguments(row["arguments"]), inputs=inputs, codecs=codecs
    )


def read_inputs(text: str) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return the inputs and the codecs of a recorded key."""
    recorded = json.loads(text or "{}")
    inputs = tuple([(origin, identity) for origin, identity in recorded.get("inputs", ())])
    return inputs, tuple(recorded.get("codecs", ()))


def write_inputs(parts: KeyParts) -> str:
    """Return the inputs of a key as JSON."""
    ignored = {"ignored": parts.ignored} if parts.ignored else {}
    return write_json({"inputs": parts.inputs, "codecs": parts.codecs, **ignored})


def write_event(event: Event) -> str:
    """Return an event as JSON; small outputs without their bytes, which the artifact's own record has."""
    body = {}
    for name, write, _ in _FIELDS[type(event).__name__]:
        value = getattr(event, name)
        body[name] = value if write is None or value is None else write(value)
    return write_json(body)


def read_event(kind: str, body: str) -> Event:
    """Return the event of class *kind* that ``write_event`` wrote. Raises ValueError."""
    try:
        written = json.loads(body)
        values = {}
        for name, _, read in _FIELDS[kind]:
            value = written[name]
            values[name] = value if read is None or value is None else read(value)
        event: Event = _EVENTS[kind](**values)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an event {kind!r}: {error}") from error
    return event


def to_json(value: Any) -> str:
    """Return plain JSON with sorted keys, for columns that people and scripts read."""
    return _escape(json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def write_log(log: LogSpan) -> list[Any]:
    """Return where an attempt's output lies as a list."""
    return [log.file, log.start, log.end]


def write_failure(failure: Failure) -> dict[str, Any]:
    """Return a failure as a dictionary."""
    return {item.name: getattr(failure, item.name) for item in fields(Failure)}


def write_logged(logged: Logged) -> list[Any]:
    """Return what a step has logged as a list, in which NaN and infinities, which JSON does not have, are texts."""
    summaries = [[s.name, s.points, *map(_number, (s.last, s.least, s.greatest))] for s in logged.summaries]
    return [write_refs((logged.curves,)), summaries]


def read_metrics(text: str | None) -> Logged | None:
    """Return what a step has logged from the column of the records; None when that is nothing."""
    return _read_logged(json.loads(text)) if text else None


def _read_logged(written: list[Any]) -> Logged:
    summaries = [Summary(name, points, *map(float, numbers)) for name, points, *numbers in written[1]]
    return Logged(read_refs(written[0])[0], tuple(summaries))


def _number(value: float) -> float | str:
    return value if isfinite(value) else repr(value)


def _read_log(written: list[Any]) -> LogSpan:
    return LogSpan(file=written[0], start=written[1], end=written[2])


def _read_failure(written: dict[str, Any]) -> Failure:
    return Failure(**{**written, "bases": tuple(written["bases"])})


def _read_steps(written: list[list[Any]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(pair) for pair in written)


_Convert = Callable[[Any], Any]
_CONVERTED: Mapping[str, tuple[_Convert | None, _Convert]] = {
    "outputs": (write_refs, read_refs),
    "log": (write_log, _read_log),
    "failure": (write_failure, _read_failure),
    "steps": (None, _read_steps),
    "metrics": (write_logged, _read_logged),
    "parameters": (dict, dict),
}
"""How fields that JSON does not know are written and read."""
_EVENTS: Mapping[str, Any] = {
    kind.__name__: kind for union in get_args(Event) for kind in (get_args(union) or (union,))
}
_FIELDS = {
    name: [(item.name, *_CONVERTED.get(item.name, (None, None))) for item in fields(kind)]
    for name, kind in _EVENTS.items()
}
