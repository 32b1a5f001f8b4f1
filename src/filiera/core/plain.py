"""Plain values as deterministic JSON bytes and back: parameters, small results, keys.

Plain: None, bool, int, float (NaN and infinities too), str, bytes, list, tuple, dict, set, frozenset, date, time,
datetime, timedelta, Decimal, Path, UUID, Enum members, frozen or unfrozen dataclasses, and functions or classes found
by name in a module. What JSON cannot say is written as ``{"$": kind, "v": …}``. Nothing is imported to decode but what
is ours: a class or function must be in a module already loaded, so bytes from elsewhere cannot make us run code.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import functools
import importlib
import json
import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from types import BuiltinFunctionType, FunctionType
from typing import Any

from filiera.core.compact import compact_writer

_ATOMS = (bool, str, type(None))
_WORDS = frozenset(_ATOMS)
_TEXT = frozenset((str,))
_MAX_DEPTH = 200
_OUR_VALUES = ("filiera.transforms.", "filiera.model.")
"""Where our values are that are part of a stored model: what serves it need not know beforehand that it has them."""
_LONGEST_INT_BITS = 2048
"""Python refuses to read or write decimal numbers of some thousand digits; hexadecimal ones have no limit."""
_write = compact_writer(ascii_only=False)


def _refuse(constant: str) -> None:
    raise ValueError(f"a bare {constant}")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


@dataclasses.dataclass(frozen=True, slots=True)
class Placeholder:
    """Stands for input number *index* of a task inside its arguments."""

    index: int


def encode(value: Any) -> bytes:
    """Return deterministic JSON bytes of a plain *value*; dictionaries keep their order, sets are sorted.

    Raises:
        TypeError: The value, or something inside it, is not plain; the message says where.

    >>> encode({"a": (1, 2.5)})
    b'{"a":{"$":"tuple","v":[1,2.5]}}'
    """
    kind = type(value)
    if kind is Placeholder:
        return b'{"$":"input","v":%d}' % value.index
    if kind is int and value.bit_length() <= _LONGEST_INT_BITS:
        return b"%d" % value
    return _write(_to_json(value, "value", 0)).encode("utf-8", "surrogatepass")


def decode(content: bytes) -> Any:
    """Return the value that ``encode`` wrote.

    Raises:
        ValueError: The bytes are not ours, or name a class that no loaded module has.

    >>> decode(encode({"a": (1, 2.5)}))
    {'a': (1, 2.5)}
    """
    try:
        found = _DECODER.decode(content.decode("utf-8", "surrogatepass"))
        return _from_json(found) if b"$" in content or b"\\u" in content else found
    except (KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"not a plain value: {error}") from error


def is_plain(value: object) -> bool:
    """Tell whether ``encode`` takes *value*."""
    try:
        _to_json(value, "value", 0)
    except TypeError:
        return False
    return True


def name_of(thing: Any) -> str:
    """Return ``module:qualified.name`` of a class or function.

    >>> name_of(dt.date)
    'datetime:date'
    """
    return f"{thing.__module__}:{thing.__qualname__}"


def find_loaded(name: str) -> Any:
    """Return the class or function that ``name_of`` named, from a module already loaded, or one of ours.

    Raises:
        ValueError: The module is not loaded or has no such name.
    """
    module_name, _, path = name.partition(":")
    if module_name not in sys.modules and module_name.startswith(_OUR_VALUES):
        with suppress(ImportError):
            importlib.import_module(module_name)
    found: Any = sys.modules.get(module_name)
    for part in path.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise ValueError(f"{name!r} is not in a loaded module")
    return found


def names_in(value: object) -> Iterator[Any]:
    """Yield the functions and classes that the encoding of a plain *value* names: to decode it, they must be loaded.

    >>> [found.__name__ for found in names_in({"a": [dt.date, 1, len]})]
    ['date', 'len']
    """
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        for item in value:  # type: ignore[attr-defined]
            yield from names_in(item)
    elif isinstance(value, dict):
        for item in (*value, *value.values()):
            yield from names_in(item)
    elif isinstance(value, FunctionType | BuiltinFunctionType | type):
        yield value
    elif isinstance(value, enum.Enum):
        yield kind
    elif dataclasses.is_dataclass(value) and kind is not Placeholder:
        yield kind
        for field in dataclasses.fields(value):
            yield from names_in(getattr(value, field.name))


def _to_json(value: Any, at: str, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise TypeError(f"{at} is nested deeper than {_MAX_DEPTH} levels, or contains itself")
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is int:
        return value if value.bit_length() <= _LONGEST_INT_BITS else {"$": "int", "v": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
    if kind is list:
        return _items(value, at, depth)
    if kind is dict:
        return _dict_to_json(value, at, depth)
    writer = _WRITERS.get(kind)
    if writer is not None:
        tag, write = writer
        return {"$": tag, "v": write(value, at, depth)}
    return _object_to_json(value, at, depth)


def _dict_to_json(value: dict[Any, Any], at: str, depth: int) -> Any:
    if set(map(type, value)) <= _TEXT and "$" not in value:
        if _is_flat(value.values(), depth):
            return value
        return {key: _to_json(item, f"{at}[{key!r}]", depth + 1) for key, item in value.items()}
    pairs = [
        [_to_json(key, f"key of {at}", depth + 1), _to_json(item, f"{at}[a {type(key).__name__}]", depth + 1)]
        for key, item in value.items()
    ]
    return {"$": "dict", "v": pairs}


def _object_to_json(value: Any, at: str, depth: int) -> Any:
    if isinstance(value, enum.Flag):
        return {"$": "flag", "of": findable(type(value), at), "v": value.value}  # a combination has no name
    if isinstance(value, enum.Enum):
        return {"$": "enum", "of": findable(type(value), at), "v": value.name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = fields_of(type(value))
        items = {name: _to_json(getattr(value, name), f"{at}.{name}", depth + 1) for name in names}
        return {"$": "object", "of": findable(type(value), at), "v": items}
    if name_of(type(value)) in _AS_TEXT:
        return {"$": _AS_TEXT[name_of(type(value))], "v": str(value)}
    if isinstance(value, PurePath):
        return {"$": "path" if isinstance(value, Path) else "purepath", "v": value.as_posix()}
    if isinstance(value, FunctionType | BuiltinFunctionType | type):
        return {"$": "name", "v": findable(value, at)}
    raise TypeError(f"{at} is a {name_of(type(value))}, which is not a plain value")


@functools.cache
def fields_of(kind: Any) -> tuple[str, ...]:
    """Return the names of the fields that a dataclass is made from."""
    return tuple([field.name for field in dataclasses.fields(kind) if field.init])


def findable(thing: Any, at: str) -> str:
    """Return the name of a class or function by which ``find_loaded`` finds it. Raises TypeError when nothing does."""
    if "<" in thing.__qualname__ or thing.__module__ is None:
        raise TypeError(f"{at} is {thing.__qualname__}, which no module can be asked for; define it at the top level")
    return name_of(thing)


def _datetime_to_json(value: dt.datetime, at: str, depth: int) -> Any:
    zone = getattr(value.tzinfo, "key", None)  # of a ZoneInfo: with its offset alone, a time would forget about summer
    return [value.replace(tzinfo=None).isoformat(), zone, value.fold] if zone else value.isoformat()


def _datetime_from_json(value: Any) -> dt.datetime:
    if isinstance(value, str):
        return dt.datetime.fromisoformat(value)
    from zoneinfo import ZoneInfo

    text, zone, fold = value
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def _decimal_from_json(value: str) -> Any:
    from decimal import Decimal

    return Decimal(value)


def _uuid_from_json(value: str) -> Any:
    from uuid import UUID

    return UUID(value)


def _is_flat(items: Collection[Any], depth: int) -> bool:
    """Tell whether JSON says all *items* as they are: so long lists of numbers or words are not copied one by one."""
    if depth >= _MAX_DEPTH:
        return False
    kinds = set(map(type, items))
    if kinds <= _WORDS:
        return True
    if kinds == {int}:
        return max(map(int.bit_length, items)) <= _LONGEST_INT_BITS
    return kinds == {float} and all(map(math.isfinite, items))


def _items(value: Any, at: str, depth: int) -> Any:
    return (
        value if _is_flat(value, depth) else [_to_json(item, f"{at}[{i}]", depth + 1) for i, item in enumerate(value)]
    )


def _sorted_items(value: Any, at: str, depth: int) -> list[Any]:
    return sorted((_to_json(item, f"item of {at}", depth + 1) for item in value), key=json.dumps)


_AS_TEXT: Mapping[str, str] = {"decimal:Decimal": "decimal", "uuid:UUID": "uuid"}
"""By name: loading these two modules takes 3 ms, and few have such values."""
_Write = Callable[[Any, str, int], Any]
_WRITERS: Mapping[type, tuple[str, _Write]] = {
    tuple: ("tuple", _items),
    set: ("set", _sorted_items),
    frozenset: ("frozenset", _sorted_items),
    bytes: ("bytes", lambda value, at, depth: base64.b64encode(value).decode()),
    dt.date: ("date", lambda value, at, depth: value.isoformat()),
    dt.time: ("time", lambda value, at, depth: value.isoformat()),
    dt.datetime: ("datetime", _datetime_to_json),
    dt.timedelta: ("timedelta", lambda value, at, depth: [value.days, value.seconds, value.microseconds]),
    Placeholder: ("input", lambda value, at, depth: value.index),
}

_READERS: Mapping[str, Callable[[Any], Any]] = {
    "int": lambda v: int(v, 16),
    "float": float,
    "tuple": lambda v: tuple(_from_json(item) for item in v),
    "set": lambda v: {_from_json(item) for item in v},
    "frozenset": lambda v: frozenset(_from_json(item) for item in v),
    "dict": lambda v: {_from_json(key): _from_json(item) for key, item in v},
    "bytes": base64.b64decode,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "datetime": _datetime_from_json,
    "timedelta": lambda v: dt.timedelta(*v),
    "decimal": _decimal_from_json,
    "uuid": _uuid_from_json,
    "path": Path,
    "purepath": PurePath,
    "input": Placeholder,
    "name": find_loaded,
}


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    tag = value.get("$")
    if tag is None:
        return {key: _from_json(item) for key, item in value.items()}
    if tag == "enum":
        return _enum_class(value["of"])[value["v"]]
    if tag == "flag":
        return _enum_class(value["of"])(value["v"])
    if tag == "object":
        return dataclass_named(value["of"])(**{key: _from_json(item) for key, item in value["v"].items()})
    return _READERS[tag](value["v"])


def _enum_class(name: str) -> type[enum.Enum]:
    found = find_loaded(name)
    if not (isinstance(found, type) and issubclass(found, enum.Enum)):
        raise ValueError(f"{name!r} is not an Enum")
    return found


def dataclass_named(name: str) -> Callable[..., Any]:
    """Return the dataclass with a name. Raises ValueError when no loaded module has it."""
    found = find_loaded(name)
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise ValueError(f"{name!r} is not a dataclass")
    return found
