"""Writes the client of a model as a Python module: typed, and with nothing but the standard library.

A module, not classes made at run time: an application that calls a model has no reason to install what made the model,
and only of a text do type checkers, editors and reviewers see which fields there are, and which changed.
"""

from __future__ import annotations

import inspect
import keyword
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from filiera.core.signature import Field, Output
from filiera.serving import plain_caller
from filiera.serving.answers import ANSWER_KEYS, label_key
from filiera.serving.contract import ModelContract

_TYPES = {"bool": "bool", "string": "str", "date": "dt.date", "timestamp": "dt.datetime"}
_END = '''

class Service(Protocol):
    """What answers requests: a caller, or in tests a service in the same process."""

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Any:
        """Return an answer with status, headers and body."""


class Refused(Exception):
    """The service did not answer with predictions; *problem* is what it said instead."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status, self.problem = status, problem
        places = [f"{error['at']} {error['rule']}" for error in problem.get("errors", ())]
        super().__init__("; ".join([f"{problem.get('title', 'no service')} (status {status})", *places]))


class Client:
    """Asks the model at one address; any number of threads may use it."""

    def __init__(self, service: str | Service, *, token: str | None = None) -> None:
        """Ask the service at an address, or a service given as such."""
        self._service: Service = Caller(service, token=token) if isinstance(service, str) else service

    def predict(self, rows: Iterable[Row]) -> list[Prediction]:
        """Return one prediction per row, in order.

        Raises:
            Refused: A row breaks the contract, or the service failed.
            OSError: The service cannot be reached.
        """
        rest, found = iter(rows), []
        while chunk := list(islice(rest, MAX_ROWS)):
            body = json.dumps({"instances": [_instance(row) for row in chunk]}, allow_nan=False).encode()
            answer = self._service.ask("POST", PATH, body, {"content-type": "application/json"})
            try:
                document = json.loads(answer.body)
            except ValueError:
                document = {}
            if answer.status != 200:
                raise Refused(answer.status, document)
            found += [Prediction(**each) for each in document["predictions"]]
        return found


def _instance(row: Row) -> dict[str, Any]:
    return {name: _plain(getattr(row, attribute)) for attribute, name in FIELDS.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.isoformat() if value.tzinfo else f"{value.isoformat()}Z"
    return value.isoformat() if isinstance(value, dt.date) else value
'''


def client_module(contract: ModelContract) -> str:
    """Return the text of a module with ``Row``, ``Prediction`` and ``Client`` for a model.

    >>> from filiera.core.signature import Field, Output, Signature
    >>> signature = Signature(
    ...     task="regression",
    ...     inputs=(Field(name="x", type="float64", minimum=0),),
    ...     outputs=(Output(name="value", type="float64", semantics="value"),),
    ... )
    >>> "    x: float  # at least 0" in client_module(ModelContract(name="m", version=1, signature=signature))
    True
    """
    signature = contract.signature
    attributes = dict(zip(_attributes(signature.inputs), signature.inputs, strict=True))
    source = inspect.getsource(plain_caller).partition("from __future__ import annotations\n")[2]
    imports, _, rest = source.partition("\n\nclass ")
    lines = [
        f'"""Asks {contract.name}, version {contract.version}; made by ``filiera client``, so do not change it."""',
        "",
        "from __future__ import annotations",
        "",
        "import datetime as dt",
        "import json",
        *(line for line in imports.splitlines() if line.startswith("import ")),
        "from collections.abc import Callable, Iterable, Mapping",
        "from dataclasses import dataclass",
        "from itertools import islice",
        "from typing import Any, Literal, NamedTuple, Protocol",
        "",
        f"PATH = {f'/v1/models/{contract.name}:predict'!r}",
        f"SIGNATURE = {signature.hash!r}",
        f"MAX_ROWS = {signature.max_rows}",
        f"FIELDS = { ({attribute: field.name for attribute, field in attributes.items()})!r}",
        '"""The name of each field in a request."""',
        *_class("Row", "One row to predict.", (_line(name, field) for name, field in attributes.items())),
        *_class("Prediction", "What the model says of a row.", ["id: str", *map(_answer, signature.outputs)]),
    ]
    return "\n".join(lines) + "\n\n\nclass " + rest.rstrip() + "\n" + _END


def _class(name: str, text: str, lines: Iterable[str]) -> list[str]:
    head = ["", "", "@dataclass(frozen=True, kw_only=True)", f"class {name}:", f'    """{text}"""', ""]
    return [*head, *(f"    {line}" for line in lines)]


def _attributes(fields: Sequence[Field]) -> list[str]:
    """Return a name that Python takes for each field, all distinct."""
    found: list[str] = []
    for field in fields:
        is_plain = field.name.isidentifier() and unicodedata.is_normalized("NFKC", field.name)
        name = field.name if is_plain else re.sub(r"\W", "_", field.name, flags=re.ASCII)
        if not name.isidentifier() or name.startswith("__"):  # which Python would spell otherwise in a class
            name = f"field_{name.strip('_')}"
        while keyword.iskeyword(name) or name in (*found, "dt"):
            name = f"{name}_"
        found.append(name)
    return found


def _line(attribute: str, field: Field) -> str:
    kind = (
        _literal(field.values) if field.values is not None and field.type in ("string", "bool") else _type(field.type)
    )
    kind = f"{kind} | None" if field.nullable else kind
    default = f" = {_default(field)}" if field.optional else ""
    notes = [f"at least {field.minimum:g}"] if field.minimum is not None else []
    notes += [f"at most {field.maximum:g}"] if field.maximum is not None else []
    notes += [f"at most {field.max_length} characters"] if field.max_length is not None else []
    notes += [f"in {field.unit}"] if field.unit and field.unit.isprintable() else []
    return f"{attribute}: {kind}{default}" + (f"  # {', '.join(notes)}" if notes else "")


def _default(field: Field) -> str:
    if field.default is None or field.type not in ("date", "timestamp"):
        return repr(field.default)
    return f"{_TYPES[field.type]}.fromisoformat({str(field.default).replace('Z', '+00:00')!r})"


def _answer(output: Output) -> str:
    key = ANSWER_KEYS[output.semantics]
    if output.semantics == "probability":
        return f"{key}: dict[{_literal([label_key(label) for label in output.labels])}, float]"
    is_closed = bool(output.labels) and not output.extensible
    return f"{key}: {_literal(output.labels) if is_closed else _type(output.type)}"


def _type(kind: str) -> str:
    return _TYPES.get(kind, "float" if kind.startswith("float") else "int")


def _literal(values: Iterable[Any]) -> str:
    return f"Literal[{', '.join(map(repr, values))}]"
