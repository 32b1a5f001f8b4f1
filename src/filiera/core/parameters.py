"""Parameters of a pipeline: its function's typed arguments. Command line, API and form are generated from them."""

from __future__ import annotations

import datetime as dt
import enum
import inspect
import json
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from filiera.core import plain
from filiera.core.products import Dataset, Model, ProductRef, Source, check_name
from filiera.core.types import fits, hints_of, show
from filiera.core.value import dataclass
from filiera.errors import GraphError, UsageError

_REQUIRED = inspect.Parameter.empty
_TAKEN = frozenset({"backfill", "fresh", "help", "json", "partition", "profile"})
"""Options that every run has: a parameter of that name could not be given on the command line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One argument of a pipeline function."""

    name: str
    type: Any  #: its annotation, or Any
    default: Any = _REQUIRED  #: a plain value, a Source, Dataset or Model; empty when it must be given

    @property
    def is_required(self) -> bool:
        """Tell whether a run must name a value."""
        return self.default is _REQUIRED

    @property
    def is_input(self) -> bool:
        """Tell whether it is looked up before the run rather than given as a value."""
        return isinstance(self.default, Source | Dataset | Model)

    @property
    def option(self) -> str:
        """Return its name on the command line.

        >>> Parameter(name="max_depth", type=int).option
        '--max-depth'
        """
        return "--" + self.name.replace("_", "-")

    @property
    def type_text(self) -> str:
        """Return what to write as a value, for people."""
        if isinstance(self.default, Source):
            return "SOURCE"
        if self.is_input:
            return "NAME@VERSION"
        if get_origin(self.type) is Literal:
            return "|".join(str(value) for value in get_args(self.type))
        if isinstance(self.type, type) and issubclass(self.type, enum.Enum):
            return "|".join(member.name for member in self.type)
        return show(self.type) if self.type is not Any else "value"


def parameters_of(function: Callable[..., Any], pipeline: str) -> tuple[Parameter, ...]:
    """Return the parameters of a pipeline function, in order.

    Raises:
        GraphError: It takes ``*args`` or ``**kwargs``, or a name that every run has as an option.
    """
    hints = hints_of(function)
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in _TAKEN:
            raise GraphError(
                f"Pipeline {pipeline!r} has a parameter {parameter.name!r}.",
                why=f"Every run has an option --{parameter.name}.",
                do="Rename the parameter.",
            )
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise GraphError(
                f"Pipeline {pipeline!r} takes {parameter}.",
                why="Its options are generated from named, typed arguments.",
                do="Name each parameter.",
            )
        found.append(Parameter(name=parameter.name, type=hints.get(parameter.name, Any), default=parameter.default))
    return tuple(found)


def bind(parameters: tuple[Parameter, ...], values: Mapping[str, Any], pipeline: str) -> dict[str, Any]:
    """Return a value for every parameter: the one given, else the default.

    Raises:
        UsageError: An unknown name, a missing required value, or a value of another type.
    """
    known = {parameter.name: parameter for parameter in parameters}
    for name in values:
        if name not in known:
            raise UsageError(
                f"Pipeline {pipeline!r} has no parameter {name!r}.",
                why=f"It has: {', '.join(known) or 'none'}.",
                do=f"filiera run {pipeline} --help",
            )
    bound = {}
    for parameter in parameters:
        if parameter.name in values:
            bound[parameter.name] = _accept(parameter, values[parameter.name], pipeline)
        elif parameter.is_required:
            raise UsageError(f"Pipeline {pipeline!r} needs {parameter.option} ({parameter.type_text}).")
        else:
            bound[parameter.name] = parameter.default
    return bound


def _accept(parameter: Parameter, value: Any, pipeline: str) -> Any:
    if parameter.is_input and isinstance(value, str):
        return _input(parameter, value)
    if parameter.is_input and isinstance(value, type(parameter.default)):
        return value
    if not value_fits(value, parameter.type):
        raise UsageError(
            f"Parameter {parameter.name!r} of pipeline {pipeline!r} takes {parameter.type_text}, not {value!r}."
        )
    if not plain.is_plain(value):
        raise UsageError(
            f"Parameter {parameter.name!r} of pipeline {pipeline!r} cannot be a {show(type(value))}.",
            why="Parameters are kept with the run, as plain values: numbers, text, lists, dataclasses and the like.",
            do="Let a step return the value, or make it a source of the catalog.",
        )
    return float(value) if parameter.type is float and type(value) is int else value


def _input(parameter: Parameter, text: str) -> Source | Dataset | Model:
    if isinstance(parameter.default, Source):
        return Source(check_name(text, "source"))
    ref = str(ProductRef.parse(text))
    if isinstance(parameter.default, Dataset):
        return Dataset(ref).quarantined if parameter.default.part else Dataset(ref)
    return Model(ref, task=parameter.default.task)


def value_fits(value: Any, hint: Any) -> bool:
    """Tell whether a plain *value* may be given where *hint* is annotated.

    >>> value_fits(3, float), value_fits("3", int), value_fits(None, int | None), value_fits(True, int)
    (True, False, True, False)
    """
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(value_fits(value, part) for part in get_args(hint))
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(hint))
    if origin in (list, set, frozenset) and isinstance(value, origin):
        return all(value_fits(item, get_args(hint)[0]) for item in value)
    if hint in (int, float) and isinstance(value, bool):
        return False
    return fits(type(value), hint)


def parse(text: str, parameter: Parameter) -> Any:
    """Return the value that *text* on the command line means for *parameter*.

    Raises:
        UsageError: The text is no value of its type.

    >>> parse("0.5", Parameter(name="share", type=float)), parse("a,b", Parameter(name="names", type=list[str]))
    (0.5, ['a', 'b'])
    """
    if parameter.is_input:
        return text
    try:
        return _parse(text, parameter.type)
    except (ValueError, ArithmeticError, KeyError, RecursionError) as error:
        raise UsageError(f"{parameter.option} takes {parameter.type_text}, not {text!r}.") from error


def _parse(text: str, hint: Any) -> Any:
    hint = getattr(hint, "__supertype__", hint)  # of a NewType
    origin = get_origin(hint) or hint
    if origin in (Union, types.UnionType):
        return _parse_union(text, get_args(hint))
    if origin is Literal:
        return {str(choice): choice for choice in get_args(hint)}[text]
    if origin in (list, set, tuple, frozenset):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return origin([_parse(part, item) for part, item in zip(parts, _items(hint, len(parts)), strict=True)])
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint[text]
    if hint in _PARSERS:
        return _PARSERS[hint](text)
    if isinstance(hint, type) and plain.name_of(hint) == "decimal:Decimal":  # by name: loading it takes 1 ms
        return hint(text)
    if origin is dict:
        return json.loads(text)
    if hint in (Any, object, inspect.Parameter.empty):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    raise ValueError(f"no way to read {show(hint)} from text")


def _items(hint: Any, count: int) -> tuple[Any, ...]:
    """Return the type of each of *count* items of a list, set or tuple."""
    args = get_args(hint)
    if get_origin(hint) is tuple and Ellipsis not in args:
        return args
    return (args or (str,))[:1] * count


def _parse_union(text: str, parts: tuple[Any, ...]) -> Any:
    if type(None) in parts and text.lower() in ("none", "null", ""):
        return None
    for part in sorted((part for part in parts if part is not type(None)), key=lambda part: part is str):
        try:
            return _parse(text, part)
        except (ValueError, ArithmeticError, KeyError):
            continue
    raise ValueError(text)


def _parse_bool(text: str) -> bool:
    return {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}[
        text.lower()
    ]


_PARSERS: Mapping[Any, Callable[[str], Any]] = {
    int: int,
    float: float,
    str: str,
    bool: _parse_bool,
    Path: Path,
    dt.date: dt.date.fromisoformat,
    dt.datetime: dt.datetime.fromisoformat,
}
