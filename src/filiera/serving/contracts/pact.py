"""What an application recorded of a service, as Pact V4 writes it: requests, and what it needs of the answers.

The body of an answer holds only what the application read, and a matcher for each such place; so a provider may drop or
change the rest. https://github.com/pact-foundation/pact-specification (version 4)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from filiera.core.signature import Output, Signature
from filiera.core.value import dataclass
from filiera.errors import UsageError, did_you_mean
from filiera.serving.answers import ANSWER_KEYS, label_key
from filiera.serving.domain import INTEGER_RANGES

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
ROWS = "predictions[*]"
_ANY_ID = "^[0-9A-HJKMNP-TV-Z]{26}$"


@dataclass(frozen=True, kw_only=True, slots=True)
class Interaction:
    """One request of an application, and what it needs of the answer."""

    path: str
    request: Any  #: the JSON body
    status: int
    response: Any  #: the JSON body, with only what was read
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  #: matchers, by place ``$.predictions[*].…``


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """The contract of one version of an application with one model."""

    consumer: str
    consumer_version: str
    model: str
    interactions: tuple[Interaction, ...]
    reads: tuple[str, ...] = ()  #: places of answers that were read, such as ``predictions[*].label``
    thresholds: Mapping[str, float] = field(default_factory=dict)  #: what it compares numbers with, by place

    @property
    def who(self) -> str:
        """Return ``consumer@version``, which is the name of its file."""
        return f"{self.consumer}@{self.consumer_version}"

    def asks(self, address: str) -> bool:
        """Tell whether it asks the model that is served under a name, by whichever protocol."""
        return any(is_at(one.path, address) for one in self.interactions)


def is_at(path: str, address: str) -> bool:
    """Tell whether a path belongs to the model that is served under a name.

    >>> is_at("/v1/models/flows:predict", "flows"), is_at("/v1/models/flows.v2:predict", "flows")
    (True, False)
    """
    return re.fullmatch(rf"/v[12]/models/{re.escape(address)}[:/].+", path) is not None


def check_consumer(text: str) -> tuple[str, str]:
    """Return name and version of an application written as ``NAME@VERSION``. Raises UsageError."""
    name, at, version = text.partition("@")
    if not at or not all(map(_NAME.fullmatch, (name, version))):
        raise UsageError(f"{text!r} names no version of an application.", do="Write NAME@VERSION, such as shop@1.4.")
    return name, version


def check_parts(signature: Signature, parts: Iterable[str]) -> None:
    """Refuse names that are no parts of predictions, such as ``label``. Raises UsageError with those there are."""
    known = [place.removeprefix(f"{ROWS}.") for place in rules_of_predictions(signature)]
    for part in parts:
        if part not in known:
            why = f"There are: {', '.join(known)}.{did_you_mean(part, known)}"
            raise UsageError(f"Predictions have no {part!r}.", why=why)


def pruned(answer: Any, reads: Iterable[str], at: str = "") -> Any:
    """Return a JSON *answer* with nothing but what was read."""
    wanted = set(reads)
    if isinstance(answer, dict):
        kept = {key: f"{at}.{key}".lstrip(".") for key in answer}
        return {key: pruned(answer[key], wanted, place) for key, place in kept.items() if place in wanted}
    if isinstance(answer, list):
        return [pruned(item, wanted, f"{at}[*]") for item in answer]
    return answer


def rules_of(signature: Signature, reads: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return a matcher for each place of an answer that was read, as *signature* promises it."""
    known = {"version": _matcher("integer"), "model": _matcher("type"), "predictions": _matcher("type", min=1)}
    known |= rules_of_predictions(signature)
    return {f"$.{place}": known.get(place, _matcher("type")) for place in sorted(reads)}


def rules_of_predictions(signature: Signature) -> dict[str, dict[str, Any]]:
    """Return a matcher for each place of a prediction."""
    known = {f"{ROWS}.id": _matcher("regex", regex=_ANY_ID)}
    for output in signature.outputs:
        known |= _output_rules(output, f"{ROWS}.{ANSWER_KEYS[output.semantics]}")
    return known


def _output_rules(output: Output, at: str) -> dict[str, dict[str, Any]]:
    if output.semantics == "probability":
        return {at: _matcher("type"), **{f"{at}.{label_key(label)}": _matcher("number") for label in output.labels}}
    if output.labels and not output.extensible and all(isinstance(label, str) for label in output.labels):
        options = "|".join(re.escape(str(label)) for label in output.labels)
        return {at: _matcher("regex", regex=f"^({options})$")}
    kinds = {"bool": "boolean", "float32": "number", "float64": "number"}
    return {at: _matcher("integer" if output.type in INTEGER_RANGES else kinds.get(output.type, "type"))}


def _matcher(kind: str, **more: Any) -> dict[str, Any]:
    return {"combine": "AND", "matchers": [{"match": kind, **more}]}


def write_pact(recorded: Recorded, folder: Path) -> Path:
    """Write a contract to its file in *folder*, in one piece, and return the file.

    That is ``NAME@VERSION.json``; for an application that calls several models, the name of the model is in it too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{recorded.who}.json"
    if path.exists() and read_pact(path).model != recorded.model:
        path = folder / f"{recorded.who}.{recorded.model}.json"
    document = json.dumps(to_document(recorded), indent=2, ensure_ascii=False) + "\n"
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(document, encoding="utf-8")
    beside.replace(path)
    return path


def to_document(recorded: Recorded) -> dict[str, Any]:
    """Return the contract as a Pact V4 document."""
    return {
        "consumer": {"name": recorded.consumer},
        "provider": {"name": recorded.model},
        "interactions": [_interaction(one, number) for number, one in enumerate(recorded.interactions, start=1)],
        "metadata": {
            "pactSpecification": {"version": "4.0"},
            "filiera": {
                "consumerVersion": recorded.consumer_version,
                "reads": list(recorded.reads),
                "thresholds": dict(recorded.thresholds),
            },
        },
    }


def _interaction(one: Interaction, number: int) -> dict[str, Any]:
    kind = "application/json" if one.status == 200 else "application/problem+json"
    response: dict[str, Any] = {"status": one.status, "headers": {"Content-Type": [kind]}}
    response["body"] = _body(one.response, kind)
    if one.rules:
        response["matchingRules"] = {"body": dict(one.rules)}
    return {
        "type": "Synchronous/HTTP",
        "key": f"{number:04d}",
        "description": f"request {number}, answered with {one.status}",
        "pending": False,
        "request": {
            "method": "POST",
            "path": one.path,
            "headers": {"Content-Type": ["application/json"]},
            "body": _body(one.request, "application/json"),
        },
        "response": response,
    }


def _body(content: Any, kind: str) -> dict[str, Any]:
    return {"content": content, "contentType": kind, "encoded": False}


def read_pacts(folder: Path, model: str) -> list[Recorded]:
    """Return what applications recorded of *model* among the files of *folder*, in the order of their names.

    Raises:
        UsageError: A file is no contract that can be replayed.
    """
    found = [read_pact(path) for path in sorted(folder.glob("*@*.json"))]
    return [one for one in found if one.model == model]


def read_pact(path: Path) -> Recorded:
    """Return the contract in a file. Raises UsageError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        extra = document["metadata"].get("filiera", {})
        return Recorded(
            consumer=str(document["consumer"]["name"]),
            consumer_version=str(extra.get("consumerVersion") or path.stem.partition("@")[2]),
            model=str(document["provider"]["name"]),
            interactions=tuple(_read_interaction(one) for one in document["interactions"]),
            reads=tuple(map(str, extra.get("reads", ()))),
            thresholds={str(place): float(value) for place, value in extra.get("thresholds", {}).items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"It has no {error}." if isinstance(error, KeyError) else str(error)
        raise UsageError(
            f"{path} is no contract of an application.",
            why=why,
            do="Record it again: filiera contract record. It must be a Pact document of version 4.",
        ) from error


def _read_interaction(one: Mapping[str, Any]) -> Interaction:
    request, response = one["request"], one["response"]
    if request["method"].upper() != "POST":
        raise ValueError(f"a request with {request['method']} asks for no prediction")
    return Interaction(
        path=str(request["path"]),
        request=request["body"]["content"],
        status=int(response["status"]),
        response=response.get("body", {}).get("content"),
        rules=response.get("matchingRules", {}).get("body", {}),
    )


def matchers_at(rules: Mapping[str, Mapping[str, Any]], place: str) -> Sequence[Mapping[str, Any]] | None:
    """Return the matchers of a place, written as ``$.predictions[*].label``; None when there are none for it."""
    rule = rules.get(place)
    return None if rule is None else list(rule.get("matchers", ()))
