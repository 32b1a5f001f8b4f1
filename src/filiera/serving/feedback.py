"""What callers tell of predictions later: outcomes and actions, by the prediction's id."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from filiera.core.feedback import ACTION, OUTCOME
from filiera.errors import StoreError
from filiera.ports import Clock, PredictionLog
from filiera.serving.contract import ModelContract
from filiera.serving.http import Request, Response, json_response
from filiera.serving.mount import ApiPart, Route
from filiera.serving.problem import MAX_ERRORS, Problem, RequestRefused, RowError

_log = logging.getLogger("filiera.serving")
_MAX_ENTRIES = 1000
_MAX_TEXT = 1000
_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_FIELDS = {"prediction", OUTCOME, ACTION, "at", "id"}


class Feedback:
    """Takes feedback for one model. It is on disk before it is acknowledged, so it need be sent only once."""

    def __init__(self, contract: Callable[[], ModelContract], log: PredictionLog, *, clock: Clock = time.time) -> None:
        """Keep in *log* what is told of predictions of the model that *contract* returns."""
        self._contract = contract
        self._log = log
        self._clock = clock

    def routes(self) -> Mapping[str, Route]:
        """Return the path that takes it."""
        return {self._path: Route(method="POST", handler=self._take, needs_ready=True)}

    def api(self) -> ApiPart:
        """Return the path's part of the OpenAPI document."""
        said = {"type": ["string", "number", "integer", "boolean"], "maxLength": _MAX_TEXT}
        entry = {
            "type": "object",
            "properties": {
                "prediction": {"type": "string", "pattern": f"^{_ID.pattern}$", "description": "its id"},
                OUTCOME: {"anyOf": [said, {"type": "object", "additionalProperties": said}]},
                ACTION: {"type": "string", "minLength": 1, "maxLength": _MAX_TEXT},
                "at": {"type": "string", "format": "date-time", "description": "when it was known; else now"},
                "id": {"type": "string", "maxLength": _MAX_TEXT, "description": "tells equal actions apart"},
            },
            "required": ["prediction"],
            "oneOf": [{"required": [OUTCOME]}, {"required": [ACTION]}],
            "additionalProperties": False,
        }
        body = {
            "type": "object",
            "properties": {"feedback": {"type": "array", "maxItems": _MAX_ENTRIES, "items": entry}},
            "required": ["feedback"],
            "additionalProperties": False,
        }
        kept = {"type": "object", "properties": {"kept": {"type": "integer"}}, "required": ["kept"]}
        problem = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
        post = {
            "summary": "Tell what users did with predictions, or what turned out true",
            "operationId": f"feedback_{self._contract().name.replace('-', '_')}",
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": {
                "200": {"description": "It is on disk.", "content": {"application/json": {"schema": kept}}},
                "422": {"description": "It is not what the schema says.", **problem},
                "503": {"description": "It could not be kept; nothing of it was.", **problem},
            },
        }
        return ApiPart(paths={self._path: {"post": post}})

    @property
    def _path(self) -> str:
        return f"/v1/models/{self._contract().name}:feedback"

    async def _take(self, request: Request) -> Response:
        body = await request.body("application/json")
        records = self.read(body)
        try:
            # In a thread of its own, so that of those that come together one sync serves all.
            await asyncio.to_thread(self._log.keep, records)
        except StoreError as error:
            _log.error("feedback could not be kept: %s %s", error.what, error.why)
            problem = Problem(kind="not-kept", detail="Send it again.", headers={"Retry-After": "5"})
            raise RequestRefused(problem) from error
        return json_response({"kept": len(records)})

    def close(self) -> None:
        """Let go of the log."""
        self._log.close()

    def read(self, body: bytes) -> list[dict[str, Any]]:
        """Return the records of a *body*. Raises RequestRefused, which names places and never shows values."""
        try:
            found = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise RequestRefused(Problem(kind="not-json", detail="Send a JSON object.")) from error
        entries = found.get("feedback") if isinstance(found, dict) and set(found) == {"feedback"} else None
        if not isinstance(entries, list):
            raise _refused([RowError(at="$", rule='must be an object with a list "feedback", and nothing else')])
        if len(entries) > _MAX_ENTRIES:
            detail = f"At most {_MAX_ENTRIES} entries are taken in one request."
            raise RequestRefused(Problem(kind="too-many-rows", detail=detail))
        hidden = {field.name for field in self._contract().signature.inputs if field.sensitive}
        faults = [
            RowError(at=f"feedback[{place}]{at}", rule=rule)
            for place, entry in enumerate(entries)
            for at, rule in _faults(entry, hidden)
        ]
        if faults:
            raise _refused(faults)
        now = self._clock()
        return [_record(entry, now) for entry in entries]


def _faults(entry: Any, hidden: set[str]) -> list[tuple[str, str]]:
    if not isinstance(entry, dict) or not set(entry) <= _FIELDS:
        return [("", "must be an object of prediction, outcome or action, at and id")]
    found = []
    prediction = entry.get("prediction")
    if not (isinstance(prediction, str) and _ID.fullmatch(prediction)):
        found.append((".prediction", "must be the id of a prediction"))
    if (OUTCOME in entry) == (ACTION in entry):
        found.append(("", "must have an outcome or an action, and not both"))
    if ACTION in entry and not _is_text(entry[ACTION]):
        found.append((".action", f"must be text of 1 to {_MAX_TEXT} characters"))
    if OUTCOME in entry:
        outcome = entry[OUTCOME]
        values = outcome.values() if isinstance(outcome, dict) else [outcome]
        if not values or not all(map(_is_value, values)):
            found.append((".outcome", "must be text, a number or a truth value, or an object of such"))
        elif isinstance(outcome, dict) and hidden & set(outcome):
            found.append((".outcome", "must not name a field that the signature calls sensitive"))
    if "at" in entry and _moment(entry["at"]) is None:
        found.append((".at", "must be a time with its offset, such as 2026-01-31T12:00:00Z"))
    if "id" in entry and not _is_text(entry["id"]):
        found.append((".id", f"must be text of 1 to {_MAX_TEXT} characters"))
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT


def _is_value(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_TEXT
    if isinstance(value, int):  # truth values are, too
        return abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _moment(value: Any) -> float | None:
    try:
        moment = dt.datetime.fromisoformat(value)
        return moment.timestamp() if moment.tzinfo is not None else None
    except (TypeError, ValueError, OverflowError):
        return None


def _record(entry: Mapping[str, Any], now: float) -> dict[str, Any]:
    kind = OUTCOME if OUTCOME in entry else ACTION
    known_at = _moment(entry["at"]) if "at" in entry else now
    told = {"kind": kind, "value": entry[kind], "key": entry.get("id", ""), "known_at": known_at}
    return {"id": entry["prediction"], "at": now, **told}


def _refused(faults: list[RowError]) -> RequestRefused:
    detail = f"{len(faults)} {'rule is' if len(faults) == 1 else 'rules are'} broken; nothing was kept."
    return RequestRefused(Problem(kind="invalid-feedback", detail=detail, errors=tuple(faults[:MAX_ERRORS])))
