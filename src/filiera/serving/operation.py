"""One thing that callers can call: a function or a method, with what its annotations say about arguments and answer."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

import msgspec

from filiera.core.products import Dataset, Model
from filiera.core.redaction import Redaction
from filiera.core.service import Sensitive
from filiera.core.value import dataclass
from filiera.errors import ProjectError
from filiera.serving.arguments import Argument, ArgumentDecoder

_STREAMS = (Iterator, Generator, AsyncIterator, AsyncGenerator)
_NOTE = "Sensitive: never logged."


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """A function as callers see it."""

    name: str  #: in its path: ``greet``, or ``Summarizer.summarize``
    summary: str  #: first line of its docstring
    attribute: str  #: of the class that it is a method of; "" for a function
    arguments: tuple[Argument, ...]
    positional: Mapping[str, Any]  #: parameters that cannot be given by name, with their defaults
    products: Mapping[str, Model | Dataset]  #: parameters that the service gives, by name: versions of products
    answer: Any  #: type of the answer, or of the items of a stream
    is_answer_sensitive: bool
    is_async: bool
    streams: bool

    @property
    def raw(self) -> str:
        """Return the one parameter that a body of bytes, such as an image, can stand for; '' when there is none."""
        required = [each for each in self.arguments if each.is_required]
        return required[0].name if len(required) == 1 and _bare(required[0].type) is bytes else ""

    def decoder(self) -> ArgumentDecoder:
        """Return what decodes its calls."""
        return ArgumentDecoder(self.arguments)

    def bound(self, given: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return *given* arguments as a call takes them: by place and by name."""
        placed = [given.get(name, default) for name, default in self.positional.items()]
        return placed, {name: value for name, value in given.items() if name not in self.positional}


class AnswerEncoder:
    """Encodes answers, and proves that each is of the type that was promised."""

    def __init__(self, kind: Any) -> None:
        self._check = None if kind is Any else msgspec.json.Decoder(kind)
        self._encoder = msgspec.json.Encoder(enc_hook=_plain)

    def encode(self, value: object) -> bytes:
        """Return *value* as JSON.

        Raises:
            TypeError: It has no form in JSON, or is not of the type promised.
        """
        content = self._encoder.encode(value)
        if self._check is not None:
            try:
                self._check.decode(content)
            except msgspec.ValidationError as error:
                raise TypeError(f"the answer is not of the type annotated: {error}") from error
        return content


def operations_of(served: Any, name: str) -> tuple[Operation, ...]:
    """Return what can be called of a function, or of a class: its public methods, and itself if it has ``__call__``.

    Raises:
        ProjectError: It cannot be served; the message names the parameter.
    """
    if not inspect.isclass(served):
        if not callable(served):
            what = f"{name!r} is of type {type(served).__name__}, which nobody can call."
            raise ProjectError(what, do="Name a function or a class.")
        return (_operation(served, name, ""),)
    _require_no_arguments(served, name)
    methods = [attribute for attribute in _methods(served) if attribute not in ("start", "close")]
    if not methods:
        raise ProjectError(f"Class {name!r} has no public method to call.", do="Write one, such as predict().")
    return tuple(
        _operation(getattr(served, attribute), name if attribute == "__call__" else f"{name}.{attribute}", attribute)
        for attribute in methods
    )


def products_of(served: Callable[..., Any]) -> dict[str, Model | Dataset]:
    """Return the parameters of a function, or those that make an object of a class, whose defaults are products.

    Raises:
        ProjectError: One cannot be given by name.

    >>> def diagnose(image: bytes, model: object = Model("pneumonia")) -> str: ...
    >>> products_of(diagnose)["model"].ref.name
    'pneumonia'
    """
    found = {}
    for each in inspect.signature(served).parameters.values():
        if isinstance(each.default, Model | Dataset):
            if each.kind is each.POSITIONAL_ONLY:
                raise ProjectError(f"Parameter {each.name!r} stands for a product and has no name to callers.")
            found[each.name] = each.default
    return found


def all_products(served: Any) -> list[Model | Dataset]:
    """Return all products that a function, or a class and its public methods, take by default."""
    taking = [served, *(getattr(served, each) for each in _methods(served))] if inspect.isclass(served) else [served]
    return [product for each in taking for product in products_of(each).values()]


def _methods(kind: type) -> Iterator[str]:
    for attribute, value in inspect.getmembers(kind, callable):
        if (attribute == "__call__" or not attribute.startswith("_")) and not inspect.isclass(value):
            yield attribute


def _require_no_arguments(kind: type, name: str) -> None:
    needed = [
        each.name
        for each in inspect.signature(kind).parameters.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if needed:
        raise ProjectError(
            f"Class {name!r} cannot be served: to make one needs {', '.join(needed)}.",
            why="A service is made once when it starts, and nobody is there to give arguments.",
            do="Give them defaults, or read them from the environment.",
        )


def _operation(function: Callable[..., Any], name: str, attribute: str) -> Operation:
    plain = inspect.unwrap(function)
    hints, parameters = _hints(plain, name), list(inspect.signature(plain).parameters.values())
    if attribute and inspect.isfunction(function):  # not a class or static method: the first is the object
        parameters = parameters[1:]
    products = products_of(plain)
    parameters = [each for each in parameters if each.name not in products]
    answer = hints.get("return", Any)
    streams = inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain) or _origin(answer) in _STREAMS
    if streams and answer is not Any:
        answer = next(iter(get_args(_bare(answer))), Any)
    if answer is None:
        answer = type(None)
    found = Operation(
        name=name,
        summary=(inspect.getdoc(plain) or "").partition("\n")[0],
        attribute=attribute,
        arguments=tuple(_argument(each, hints, name) for each in parameters),
        positional={each.name: each.default for each in parameters if each.kind is each.POSITIONAL_ONLY},
        products=products,
        answer=answer,
        is_answer_sensitive=_is_sensitive(hints.get("return", Any)),
        is_async=inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain),
        streams=streams,
    )
    _require_json(answer, f"{name!r} cannot be served: its {'items are' if streams else 'answer is'}")
    return found


def _argument(parameter: inspect.Parameter, hints: Mapping[str, Any], name: str) -> Argument:
    what = f"{name!r} cannot be served: its parameter {parameter.name!r}"
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise ProjectError(
            f"{what} stands for any number of arguments.", why="Callers are told what it takes.", do="Name each."
        )
    if parameter.name not in hints:
        raise ProjectError(
            f"{what} has no type.",
            why="What callers send is checked against it.",
            do=f"Annotate it, such as {parameter.name}: str; Any takes whatever JSON can say."
            + (" A method that nobody shall call begins with an underscore." if "." in name else ""),
        )
    kind = hints[parameter.name]
    _require_json(kind, f"{what} is")
    redaction = _redaction(kind)
    return Argument(
        name=parameter.name,
        type=Annotated[kind, msgspec.Meta(description=_NOTE)] if redaction else kind,
        is_required=parameter.default is parameter.empty,
        redaction=redaction,
    )


def _hints(function: Callable[..., Any], name: str) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as error:  # annotations are the user's expressions and may raise anything
        raise ProjectError(
            f"{name!r} cannot be served: its annotations raise {type(error).__name__}: {error}.",
            do="Import the types it names where the program runs, not only for type checkers.",
        ) from error


def _require_json(kind: Any, what: str) -> None:
    try:
        msgspec.json.Decoder(kind)
        msgspec.json.schema(kind)
    except Exception as error:  # of whatever the type is made of
        why = str(error).partition("\n")[0]
        if "custom types" in why:
            why = "JSON has no form for it, or its form could not be checked."
        raise ProjectError(
            f"{what} a {_shown(kind)}, which cannot come as JSON.",
            why=why,
            do="Use numbers, text, bool, date, datetime, list, dict, Literal, a dataclass or a msgspec.Struct of such.",
        ) from error


def _redaction(kind: Any) -> Redaction | None:
    """Return how values of a parameter of this type are logged: as its own mark says, or not, when a part has one."""
    if get_origin(kind) is Annotated:
        for note in get_args(kind)[1:]:
            if isinstance(note, Sensitive):
                return note.redaction
    return Redaction(how="drop") if _is_sensitive(kind) else None


def _is_sensitive(kind: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Tell whether a type or any part of it is marked."""
    if get_origin(kind) is Annotated:
        base, *notes = get_args(kind)
        return any(note is Sensitive or isinstance(note, Sensitive) for note in notes) or _is_sensitive(base, seen)
    if any(_is_sensitive(part, seen) for part in get_args(kind)):
        return True
    if not isinstance(kind, type) or kind in seen or not _has_fields(kind):
        return False
    parts = typing.get_type_hints(kind, include_extras=True).values()
    return any(_is_sensitive(part, seen | {kind}) for part in parts)


def _has_fields(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) or bool(getattr(kind, "__annotations__", None))


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _origin(kind: Any) -> Any:
    return get_origin(_bare(kind)) or _bare(kind)


def _shown(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else str(kind)


def _plain(value: object) -> object:
    """Return what JSON can say for numbers and arrays of NumPy and their like."""
    to_list = getattr(value, "tolist", None)
    if callable(to_list):
        return to_list()
    raise TypeError(f"an answer of type {_shown(type(value))} has no form in JSON")
