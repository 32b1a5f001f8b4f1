"""Do two annotated types fit? Asked when a graph is built, so that a wrong wire is an error before anything runs."""

from __future__ import annotations

import builtins
import functools
import inspect
import types
import typing
from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    MutableSequence,
    Reversible,
    Sequence,
    Set,
)
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

_NUMBERS = {(int, float), (bool, int), (bool, float), (int, complex), (float, complex)}
_STREAMS = (Iterator, Generator, Iterable)
_SEQUENCES = (Sequence, Iterable, Collection, Reversible)
_LISTS = (list, set, frozenset, MutableSequence, Set, *_STREAMS, *_SEQUENCES)
Lazy = Literal["sequence", "iterator", "query"]
"""How a parameter takes what need not be in memory: a list whose items are loaded when it asks for them, or a query
over a stored table."""
_TABLE = "DataFrame"
_QUERY = "LazyFrame"


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the resolved annotations of *function*; a name that cannot be resolved fits everywhere.

    Names imported for type checkers only are such names: ``tuple[pl.DataFrame, int]`` still says two outputs.
    """
    try:
        return typing.get_type_hints(function)
    except Exception:  # noqa: BLE001  annotations are the user's expressions and may raise anything; see _resolve
        raw = getattr(function, "__annotations__", {})
        names = _Names(getattr(function, "__globals__", {}))
        return {name: _resolve(hint, names) for name, hint in raw.items()}


class _Names(dict[str, Any]):
    """The names that an annotation may use; one that is not there is a type of which only the name is known."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        super().__init__({**vars(builtins), **found})

    def __missing__(self, name: str) -> Any:
        return _NameOnly(name, (), {})


class _NameOnly(type):
    """The class of types that only type checkers know: ``pl.DataFrame`` is at least called ``DataFrame``."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _NameOnly(name, (), {})

    def __getitem__(cls, item: Any) -> Any:
        return cls

    def __or__(cls, other: Any) -> Any:
        return Any

    __ror__ = __or__


def _resolve(hint: Any, names: _Names) -> Any:
    if not isinstance(hint, str):
        return hint
    try:
        return eval(hint, {}, names)  # noqa: S307  as typing.get_type_hints does: the project's own code
    except Exception:  # noqa: BLE001  it says nothing, so it fits everywhere
        return Any


def output_types(returned: Any) -> tuple[Any, ...]:
    """Return one type per output of a step: ``tuple[A, B]`` makes two outputs, ``None`` none, all else one.

    A tuple of one is a value like any other. What yields its parts one by one, an ``Iterator[A]``, makes a list.

    >>> output_types(tuple[int, str]), output_types(Iterator[int])
    ((<class 'int'>, <class 'str'>), (list[int],))
    """
    if returned is None or returned is type(None):
        return ()
    if is_stream(returned):
        return (list[items_of(returned)],)  # type: ignore[misc]
    parts = get_args(returned)
    if get_origin(returned) is tuple and len(parts) > 1 and parts[-1] is not Ellipsis:
        return parts
    return (returned,)


def is_stream(returned: Any) -> bool:
    """Tell whether a function annotated so yields the parts of its result, instead of returning it whole.

    >>> is_stream(Iterator[int]), is_stream(list[int])
    (True, False)
    """
    return (get_origin(returned) or returned) in _STREAMS


def items_of(hint: Any) -> tuple[Any, ...]:
    """Return the type of the items of a list, tuple, set or stream, as a tuple of one; empty for all other types.

    >>> items_of(list[int]), items_of(tuple[int, ...]), items_of(list), items_of(str)
    ((<class 'int'>,), (<class 'int'>,), (typing.Any,), ())
    """
    if _unknown(hint):
        return (Any,)
    origin, parts = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, types.UnionType):
        found = [items_of(part) for part in parts]
        return (_one_of([item[0] for item in found]),) if all(found) else ()
    if origin is tuple:
        return (_one_of([part for part in parts if part is not Ellipsis]),)
    return (parts[:1] or (Any,)) if origin in _LISTS else ()


def laziness(hints: Mapping[str, Any]) -> dict[str, Lazy]:
    """Return which parameters take a list or a table without having all of it in memory, by their annotations.

    A ``Sequence`` or ``Iterable`` may be read any number of times, an ``Iterator`` once; a ``polars.LazyFrame`` is a
    query that reads the stored table, and so is each of a ``dict[str, polars.LazyFrame]``.

    >>> laziness({"parts": Iterable[int], "rest": Iterator[int], "all": list[int]})
    {'parts': 'sequence', 'rest': 'iterator'}
    """
    found: dict[str, Lazy] = {}
    for name, hint in hints.items():
        origin = get_origin(hint) or hint
        if name == "return":
            continue
        if origin in _STREAMS + _SEQUENCES:
            found[name] = "sequence" if origin in _SEQUENCES else "iterator"
        elif any(getattr(part, "__name__", "") == _QUERY for part in (origin, *get_args(hint))):
            found[name] = "query"
    return found


def either(one: Any, other: Any) -> Any:
    """Return the type of a value that is of one of two types; unknown if one of them is.

    >>> either(int, int), either(int, str) == int | str, either(int, Any)
    (<class 'int'>, True, typing.Any)
    """
    return _one_of([one, other])


def _one_of(hints: list[Any]) -> Any:
    return Any if not hints or any(map(_unknown, hints)) else Union[tuple(hints)]  # noqa: UP007  not a fixed number


def fits(given: Any, wanted: Any) -> bool:
    """Tell whether a value annotated *given* may go where *wanted* is annotated; unknown types fit everywhere.

    >>> fits(bool, int), fits(str, int), fits(list[int], list[str]), fits(int, int | None)
    (True, False, False, True)
    """
    if given is wanted or wanted is Any:
        return True
    try:
        return _remembered(given, wanted)
    except TypeError:  # an annotation that has no hash, such as Annotated[int, []]
        return _fits(given, wanted)


def _fits(given: Any, wanted: Any) -> bool:
    if _unknown(given) or _unknown(wanted) or given == wanted:
        return True
    if get_origin(given) in (Union, types.UnionType):
        return all(fits(part, wanted) for part in get_args(given))
    if get_origin(wanted) in (Union, types.UnionType):
        return any(fits(given, part) for part in get_args(wanted))
    if get_origin(wanted) is Literal:
        return get_origin(given) is Literal and set(get_args(given)) <= set(get_args(wanted))
    if get_origin(given) is Literal:
        return all(fits(type(value), wanted) for value in get_args(given))
    return _classes_fit(given, wanted)


_remembered = functools.lru_cache(maxsize=1024)(_fits)
"""A graph of 100,000 nodes asks the same few questions again and again; an answer takes some 5 µs to find."""


def _unknown(hint: Any) -> bool:
    if hint in (Any, object, inspect.Parameter.empty):
        return True
    return isinstance(hint, str | TypeVar | typing.ForwardRef | typing.NewType | _NameOnly)


def _classes_fit(given: Any, wanted: Any) -> bool:
    given_class, wanted_class = get_origin(given) or given, get_origin(wanted) or wanted
    given_class = type(None) if given_class is None else given_class
    wanted_class = type(None) if wanted_class is None else wanted_class
    if not isinstance(given_class, type) or not isinstance(wanted_class, type):
        return True
    if (given_class, wanted_class) in _NUMBERS:
        return True
    if {given_class.__name__, wanted_class.__name__} == {_TABLE, _QUERY} and _is_one_library(given_class, wanted_class):
        return True  # stored, both are a table
    # What wants an iterator is given one over the list.
    is_list_for_iterator = wanted_class in _STREAMS and given_class in _LISTS
    try:
        if not is_list_for_iterator and not issubclass(given_class, wanted_class):
            return bool(getattr(wanted_class, "_is_protocol", False))
    except TypeError:  # a protocol or a typed dictionary, which cannot be asked
        return True
    if given_class is not wanted_class:
        given_parts, wanted_parts = items_of(given), items_of(wanted)
        return not given_parts or not wanted_parts or fits(given_parts[0], wanted_parts[0])
    given_parts, wanted_parts = get_args(given), get_args(wanted)
    if not given_parts or not wanted_parts:
        return True
    return len(given_parts) == len(wanted_parts) and all(map(fits, given_parts, wanted_parts))


def _is_one_library(one: type, other: type) -> bool:
    return one.__module__.partition(".")[0] == other.__module__.partition(".")[0]


def show(hint: Any) -> str:
    """Return a type as people write it: ``pl.DataFrame`` without its private module path.

    >>> show(int), show(list[int]), show(int | None)
    ('int', 'list[int]', 'int | None')
    """
    if get_origin(hint) in (Union, types.UnionType):
        return " | ".join(show(part) for part in get_args(hint))
    if get_origin(hint) is not None:
        return str(hint).replace("typing.", "")
    if hint is type(None):
        return "None"
    if isinstance(hint, type):
        root = hint.__module__.partition(".")[0]
        return hint.__qualname__ if root in ("builtins", "__main__") else f"{root}.{hint.__qualname__}"
    return str(hint)
