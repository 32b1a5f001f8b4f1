"""``dataclass`` as the standard library has it, but made in a fifth of the time.

Starting makes about a hundred of them. The standard library writes up to eight functions of each as text and compiles
them, 0.4 ms a class; here only ``__init__`` is, and the others are shared or made of C functions. An instance that is
frozen and has slots is made a third quicker too, since those are set without looking them up. All else is as in the
standard library: type checkers see that one, and it makes the classes that have something unusual about them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, /, **options):
        """Return the class as a data class; see ``dataclasses.dataclass``."""

        def made(cls: type) -> type:
            return _made(cls, options) if _is_usual(cls, options) else dataclasses.dataclass(**options)(cls)

        return made if cls is None else made(cls)


_METHODS = frozenset(("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__getstate__"))
_OPTIONS = {"frozen", "slots", "kw_only"}


def _is_usual(cls: type, options: dict[str, Any]) -> bool:
    return (
        options.keys() <= _OPTIONS
        and _METHODS.isdisjoint(cls.__dict__)
        and not any(dataclasses.is_dataclass(base) for base in cls.__mro__[1:])
        and not any(isinstance(item, Field) and item.hash is not None for item in cls.__dict__.values())
    )


def _made(cls: type, options: dict[str, Any]) -> type:
    if not cls.__doc__:
        cls.__doc__ = cls.__name__  # else the standard library would write its signature there, which takes 1 ms
    frozen, slots, kw_only = (options.get(name, False) for name in ("frozen", "slots", "kw_only"))
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(cls)
    fields: dict[str, Field[Any]] = made.__dataclass_fields__
    made.__init__ = _init(made, list(fields.values()), options)
    made.__repr__ = _repr
    made.__eq__, made.__hash__ = _comparing([item.name for item in fields.values() if item.compare])
    if frozen:
        made.__setattr__, made.__delattr__ = _refusing(made)
    else:
        made.__hash__ = None
    if frozen and slots:
        made.__getstate__, made.__setstate__ = _getstate, _setstate
    about = made.__dataclass_params__
    about.init = about.repr = about.eq = True
    about.frozen = frozen
    return made  # type: ignore[no-any-return]


def _init(cls: type, fields: list[Field[Any]], options: dict[str, Any]) -> Callable[..., None]:
    """Return ``__init__``. What is frozen is set around ``__setattr__``."""
    space: dict[str, Any] = {"_absent": MISSING, "_set": object.__setattr__}
    assign = "self.{0} = {1}"
    if options.get("frozen"):
        assign = "_set_{0}(self, {1})" if options.get("slots") else "_set(self, '{0}', {1})"
    parameters, lines = [], []
    for item in fields:
        name = value = item.name
        if options.get("slots"):
            space[f"_set_{name}"] = getattr(cls, name).__set__
        space[f"_default_{name}"] = item.default if item.default_factory is MISSING else item.default_factory
        if item.default_factory is not MISSING:
            value = f"_default_{name}()" + (f" if {name} is _absent else {name}" if item.init else "")
            parameters += [f"{name}=_absent"] if item.init else []
        elif item.default is not MISSING:
            value = name if item.init else f"_default_{name}"
            parameters += [f"{name}=_default_{name}"] if item.init else []
        elif item.init:
            parameters.append(name)
        else:
            continue  # __post_init__ sets it
        lines.append("    " + assign.format(name, value))
    if hasattr(cls, "__post_init__"):
        lines.append("    self.__post_init__()")
    star = "*, " if options.get("kw_only") and parameters else ""
    text = f"def __init__(self, {star}{', '.join(parameters)}):\n" + ("\n".join(lines) or "    pass")
    exec(text, space)  # noqa: S102 - of names of fields only, as the standard library does
    made: Callable[..., None] = space["__init__"]
    made.__annotations__ = {item.name: item.type for item in fields if item.init} | {"return": None}
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__module__ = cls.__module__
    return made


def _comparing(names: list[str]) -> tuple[Callable[[Any, Any], Any], Callable[[Any], int]]:
    """Return ``__eq__`` and ``__hash__`` over the attributes with these names."""
    values: Callable[[Any], Any] = attrgetter(*names) if names else lambda value: ()
    is_one = len(names) == 1  # of which attrgetter returns the value itself

    def equals(self: Any, other: Any) -> Any:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: Any) -> int:
        return hash((values(self),) if is_one else values(self))

    return equals, hashed


def _refusing(cls: type) -> tuple[Callable[[Any, str, Any], None], Callable[[Any, str], None]]:
    """Return ``__setattr__`` and ``__delattr__`` of a frozen class; derived classes may have more attributes."""
    names = cls.__dict__["__dataclass_fields__"]

    def set_attribute(self: Any, name: str, value: Any) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def delete_attribute(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        object.__delattr__(self, name)

    return set_attribute, delete_attribute


def _repr(self: Any) -> str:
    shown = [f"{item.name}={getattr(self, item.name)!r}" for item in dataclasses.fields(self) if item.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, item.name) for item in dataclasses.fields(self)]


def _setstate(self: Any, state: list[Any]) -> None:
    for item, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, item.name, value)
