"""What applications recorded, asked again of a service: does it still answer so that they work?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from filiera.serving.contracts.pact import Interaction, Recorded, is_at, matchers_at
from filiera.serving.contracts.part import Part
from filiera.serving.exchanges import Asked

NAME = "replay"
Matchers = Sequence[Mapping[str, Any]]
_SHOWN = 8
_INDEX = re.compile(r"\[\d+\]")
_KINDS: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "decimal": (float,),
    "number": (int, float),
    "boolean": (bool,),
}


def check_replay(service: Asked, recorded: Sequence[Recorded], addresses: Sequence[str]) -> Part:
    """Return whether all that applications recorded is still answered as they need it.

    Args:
        service: What is asked.
        recorded: What applications need.
        addresses: Where the model answers: its own, and that of the major before if it answers there, too.
    """
    if not recorded:
        return Part(name=NAME, state="skipped", reason="no application has recorded what it needs")
    faults = []
    for one in recorded:
        mine = dict.fromkeys(
            fault
            for each in one.interactions
            for fault in faults_in(service, each, next(filter(partial(is_at, each.path), addresses), addresses[0]))
        )
        faults += [f"{one.who}: {fault}" for fault in mine]
    if faults:
        return Part(name=NAME, state="failed", reason=faults[0], details=tuple(faults[1:_SHOWN]))
    counts = ", ".join(f"{one.who} ({len(one.interactions)})" for one in recorded)
    return Part(name=NAME, state="passed", reason=f"all that was recorded is answered: {counts}")


def faults_in(service: Asked, recorded: Interaction, address: str) -> Iterator[str]:
    """Yield what an application would miss in the answer to a request that it recorded."""
    if not is_at(recorded.path, address):
        yield f"asks {recorded.path}, and the model is called {address}"
        return
    answered = service.post(recorded.path, json.dumps(recorded.request).encode())
    if answered.status != recorded.status:
        yield f"was answered with {recorded.status}, is answered with {answered.status}{_why(answered.body)}"
        return
    try:
        body = json.loads(answered.body)
    except ValueError:
        yield "is answered with no JSON"
        return
    if recorded.status == 200 and isinstance(recorded.request, dict) and "instances" in recorded.request:
        rows, predictions = recorded.request["instances"], body.get("predictions", ())
        if len(predictions) != len(rows):
            yield f"gets {len(predictions)} predictions for {len(rows)} rows"
            return
    yield from _mismatches(recorded.response, body, "$", recorded.rules)


def _why(body: bytes) -> str:
    """Return which places a refusal names: they are fields, not values."""
    try:
        errors = json.loads(body).get("errors", ())
    except (ValueError, AttributeError):
        return ""
    found = sorted({f"{_INDEX.sub('[*]', error['at'])} {error['rule']}" for error in errors})
    return f": {'; '.join(found[:3])}" if found else ""


def _mismatches(
    wanted: Any, given: Any, at: str, rules: Mapping[str, Mapping[str, Any]], above: Matchers | None = None
) -> Iterator[str]:
    """Yield where *given* is not what was recorded, by the matchers; without one, it must be equal.

    What has no matcher of its own has the one *above*, if that is about types: so Pact has it.
    """
    matchers = matchers_at(rules, at)
    if matchers is None:
        matchers = above
    below = [{"match": "type"}] if matchers and matchers[0].get("match") == "type" else None
    for matcher in matchers or ():
        if not _matches(matcher, wanted, given):
            yield f"{at.removeprefix('$.')} is not {_told(matcher, wanted)}"
            return
    if isinstance(wanted, dict):
        if not isinstance(given, dict):
            yield f"{at.removeprefix('$.')} is no object"
            return
        for key, value in wanted.items():
            if key in given:
                yield from _mismatches(value, given[key], f"{at}.{key}", rules, below)
            else:
                yield f"{f'{at}.{key}'.removeprefix('$.')} is missing"
    elif isinstance(wanted, list) and isinstance(given, list):
        # Of as many items each is like the one recorded in its place; of more or fewer, like the first.
        likes = wanted if len(wanted) == len(given) else wanted[:1] * len(given)
        for like, item in zip(likes, given, strict=False):
            yield from _mismatches(like, item, f"{at}[*]", rules, below)
    elif matchers is None and wanted != given:
        yield f"{at.removeprefix('$.')} is another value"


def _matches(matcher: Mapping[str, Any], wanted: Any, given: Any) -> bool:
    kind = matcher.get("match")
    if kind == "regex":
        return isinstance(given, str) and re.search(str(matcher["regex"]), given) is not None
    if isinstance(kind, str) and kind in _KINDS:
        return type(given) in _KINDS[kind]
    if kind == "type":
        least = matcher.get("min", 0)
        return _kind(given) == _kind(wanted) and (not isinstance(given, list) or len(given) >= least)
    return bool(wanted == given)  # equality, and what we do not know: the stricter one


def _kind(value: Any) -> str:
    return "number" if type(value) in (int, float) else type(value).__name__


def _told(matcher: Mapping[str, Any], wanted: Any) -> str:
    kind = matcher.get("match")
    if kind == "regex":
        return f"one that matches {matcher['regex']}"
    return f"of type {_kind(wanted)}" if kind == "type" else f"a {kind}" if kind in _KINDS else "the value recorded"
