"""The arguments of a function: from a JSON body, checked against its annotations; refusals never repeat a value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from filiera.core.redaction import Redaction
from filiera.core.value import dataclass
from filiera.serving.problem import MAX_ERRORS, Problem, RequestRefused, RowError

_PLACED = re.compile(r"(?P<what>.*?)(?: - at `(?P<key>key in )?`?\$(?P<path>[^`]*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<types>[a-z0-9 |]+)`(?P<limit>.*?)(?:, got `[^`]*`)?", re.DOTALL)
_FIELD = re.compile(r"Object (?P<how>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
_WORDS: Mapping[str, str] = {
    "int": "an integer", "float": "a number", "str": "a string", "bool": "true or false", "null": "null",
    "array": "a list", "object": "an object", "datetime": "a time", "bytes": "a string in base 64",
}  # fmt: skip
_FORMS: Mapping[str, str] = {
    "Invalid RFC3339 encoded datetime": "must be a time such as 2026-01-31T12:00:00Z",
    "Invalid RFC3339 encoded date": "must be a date such as 2026-01-31",
    "Invalid RFC3339 encoded time": "must be a time of day such as 12:00:00Z",
    "Invalid ISO8601 duration": "must be a duration such as PT1H30M",
    "Invalid UUID": "must be a UUID",
    "Invalid decimal string": "must be a decimal number in a string",
    "Invalid base64 encoded string": "must be a string in base 64",
    "Number out of range": "must be a finite number",
}
_SHOWN_NAME = 64
_SHOWN_VALUES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """One parameter as callers see it."""

    name: str
    type: Any  #: its annotation
    is_required: bool
    redaction: Redaction | None = None  #: how its values are logged; None: as they are

    @property
    def is_sensitive(self) -> bool:
        """Tell whether its values are logged as they are nowhere."""
        return self.redaction is not None


class ArgumentDecoder:
    """Decodes the bodies of calls of one function."""

    def __init__(self, arguments: Sequence[Argument]) -> None:
        """Prepare; *arguments* are known to have types that JSON can carry."""
        fields: list[Any] = [
            (argument.name, argument.type)
            if argument.is_required
            else (argument.name, argument.type | msgspec.UnsetType, msgspec.UNSET)
            for argument in arguments
        ]
        self.type: Any = msgspec.defstruct("Arguments", fields, forbid_unknown_fields=True, kw_only=True)
        self._decoder = msgspec.json.Decoder(self.type)
        self._arguments = {argument.name: argument for argument in arguments}
        self._each = {argument.name: msgspec.json.Decoder(argument.type) for argument in arguments}

    def decode(self, body: bytes) -> dict[str, Any]:
        """Return the arguments given, by name; one with a default may be absent.

        Raises:
            RequestRefused: With status 400 (not JSON) or 422 (breaks a type).
        """
        try:
            found = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise self._refusal(body, error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _not_json(error) from None
        values = ((name, getattr(found, name)) for name in self._arguments)
        return {name: value for name, value in values if value is not msgspec.UNSET}

    def _refusal(self, body: bytes, first: msgspec.ValidationError) -> RequestRefused:
        try:
            given = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except msgspec.ValidationError:
            return _invalid([RowError(at="body", rule="must be an object with one value per parameter")])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _not_json(error)
        errors = list(self._errors(given))[:MAX_ERRORS]
        return _invalid(errors or [_row_error("body", first, ())])

    def _errors(self, given: Mapping[str, msgspec.Raw]) -> Iterator[RowError]:
        for name, argument in self._arguments.items():
            if name not in given:
                if argument.is_required:
                    yield RowError(at=name, rule="is missing")
                continue
            try:
                self._each[name].decode(given[name])
            except msgspec.ValidationError as error:
                yield _row_error(name, error, _values_of(argument.type))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                yield RowError(at=name, rule="is not JSON")
        for name in given:
            if name not in self._arguments:
                yield RowError(at=_shown(name), rule="is not a parameter of this function")


def _row_error(name: str, error: msgspec.ValidationError, values: Sequence[Any]) -> RowError:
    found = _PLACED.fullmatch(str(error))
    assert found is not None  # every group of it may be empty
    at, what = name + (found["path"] or ""), found["what"]
    if field := _FIELD.fullmatch(what):
        rule = "is missing" if field["how"].startswith("missing") else "is not known here"
        return RowError(at=f"{at}.{_shown(field['name'])}", rule=rule)
    rule = _rule(error, what, values if at == name else ())
    return RowError(at=at, rule=f"has a key that {rule}" if found["key"] else rule)


def _rule(error: msgspec.ValidationError, what: str, values: Sequence[Any]) -> str:
    """Return in words what must hold. Only words of msgspec's own are passed on: others may quote the value."""
    if error.__cause__ is None:
        if expected := _EXPECTED.fullmatch(what):
            words = [_WORDS.get(each, f"of type {each}") for each in expected["types"].split(" | ")]
            return f"must be {' or '.join(words)}{expected['limit']}"
        if what in _FORMS:
            return _FORMS[what]
        if what.startswith("Invalid enum value") and values:
            more = f", … ({len(values)} in all)" if len(values) > _SHOWN_VALUES else ""
            return f"must be one of: {', '.join(map(str, values[:_SHOWN_VALUES]))}{more}"
        if what.startswith("Invalid "):
            return "must be one of the values in the schema"
    return "is refused by its type"


def _values_of(kind: Any) -> Sequence[Any]:
    """Return the values of a closed set, none for other types."""
    schema = msgspec.json.schema(kind)
    target = schema.get("$defs", {}).get(schema.get("$ref", "").rpartition("/")[2], schema)
    values: Sequence[Any] = target.get("enum", ())
    return values


def _shown(name: str) -> str:
    """Return a name that the caller chose, cut and without what could break a line."""
    printable = name.encode("ascii", "backslashreplace").decode().replace("\n", " ")
    return printable if len(printable) <= _SHOWN_NAME else f"{printable[:_SHOWN_NAME]}…"


def _invalid(errors: Sequence[RowError]) -> RequestRefused:
    count = f"{len(errors)} values break" if len(errors) > 1 else "1 value breaks"
    return RequestRefused(Problem(kind="invalid-arguments", detail=f"{count} a rule.", errors=tuple(errors)))


def _not_json(error: Exception) -> RequestRefused:
    place = re.search(r"\(byte (\d+)\)", str(error)) if isinstance(error, msgspec.DecodeError) else None
    detail = f"It is malformed at byte {place[1]}." if place else "It is cut off, nested too deeply, or not UTF-8."
    return RequestRefused(Problem(kind="not-json", detail=detail))
