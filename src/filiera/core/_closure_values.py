"""Writes a value as bytes that depend on its content only: no addresses, hash seeds, folders or order of discovery.

Functions, classes and constants that have a name in a module are written as that name and handed to the survey, which
files each as a part of its own; everything else is written in place.
"""

from __future__ import annotations

import copyreg
import dataclasses
import enum
import functools
import os
import re
import sys
import types
from collections.abc import Callable, Collection, Iterable
from pathlib import PurePath
from typing import Any, Protocol

from filiera.core._closure_code import ATOMS, Chain, CodeFacts, facts_of
from filiera.core._closure_modules import STEP_HOOK, Modules, canonical_name, project_roots, unwrapped

_MAX_DEPTH = 100
_BOOKKEEPING = frozenset(
    (
        "__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__firstlineno__", "__static_attributes__",
        "__annotations_cache__", "_abc_impl", "__signature__",
    )
)  # fmt: skip
_GENERATED = frozenset(
    (
        "__init__", "__repr__", "__eq__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__setattr__",
        "__delattr__", "__replace__", "__getstate__", "__setstate__",
    )
)  # fmt: skip
_DESCRIPTORS = (
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
_FUNCTION_LIKE = (types.FunctionType, staticmethod, classmethod, property, functools._lru_cache_wrapper)
_TYPE_NAMES = frozenset(("TypeVar", "ParamSpec", "TypeVarTuple", "TypeAliasType", "NewType"))
_PICKLE = re.compile(rb"\x80[\x04\x05]\x95.{4}\0{4}", re.DOTALL)
_OWN_COPYING = ("__getstate__", "__reduce__", "__reduce_ex__")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


class Guide(Protocol):
    """Finds out what a name stands for, while a value is written."""

    modules: Modules

    def named(self, writer: Writer, name: tuple[str, str], value: object) -> str:
        """Return how *value*, found under module and path *name*, is referred to."""

    def module(self, writer: Writer, value: types.ModuleType) -> str:
        """Return how a module that is used as a value is referred to."""

    def bindings(self, writer: Writer, facts: CodeFacts, globals_: dict[str, Any]) -> Iterable[str]:
        """Return in sorted order what the names in a code object stand for."""

    def hint(self, writer: Writer, chain: Chain, globals_: dict[str, Any]) -> None:
        """Note what a name in an annotation stands for."""


class Writer:
    """Writes the content of one part."""

    def __init__(self, guide: Guide, home: str) -> None:
        self.guide = guide
        self.home = home  #: module that the part is filed under
        self.out: list[bytes] = []
        self.reaches: set[tuple[str, str]] = set()  #: parts referred to
        self.notes: set[str] = set()  #: what cannot be followed: "uses eval"
        self.is_opaque = False  #: holds something without a content to compare
        self._numbers: dict[int, int] = {}
        self._alive: list[object] = []  # what has a number must live on, or its id is given away
        self._depth = 0

    def put(self, tag: bytes, content: bytes | str = b"") -> None:
        """Add one tagged piece."""
        raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        self.out.append(b"%b%d:" % (tag, len(raw)))
        self.out.append(raw)

    def write(self, value: Any) -> None:
        """Add *value*, by name where it has one."""
        atom = ATOMS.get(type(value))
        if atom is not None:
            self._atom(atom, value)
            return
        if callable(value) and (name := canonical_name(value)) is not None:
            self.put(b"@", self.guide.named(self, name, value))
            return
        self.content(value)

    def content(self, value: Any) -> None:
        """Add all that *value* consists of, even when it has a name."""
        kind = type(value)
        atom = ATOMS.get(kind)
        if atom is not None:
            self._atom(atom, value)
        elif kind is tuple or kind is frozenset:
            self._deeper(value)
        elif id(value) in self._numbers:
            self.put(b"#", str(self._numbers[id(value)]))
        else:
            self._numbers[id(value)] = len(self._numbers)
            self._alive.append(value)
            self._deeper(value)

    def opaque(self, value: object) -> None:
        """Add a mark for a *value* without a content to compare."""
        kind = type(value)
        self.put(b"!", f"{kind.__module__}.{kind.__qualname__}")
        self.is_opaque = True
        self.notes.add(f"holds a {kind.__module__}.{kind.__qualname__}, known by its module's source only")

    def _atom(self, atom: tuple[bytes, Callable[[Any], bytes]], value: Any) -> None:
        tag, encode = atom
        if tag == b"s" and os.sep in value:
            self._path(value)
        else:
            self.put(tag, encode(value))

    def _path(self, text: str) -> None:
        for root in project_roots(self.home):
            if text == root or text.startswith(root + os.sep):
                self.put(b"R", text[len(root) :])
                return
        self.put(b"s", text)

    def _deeper(self, value: Any) -> None:
        if self._depth >= _MAX_DEPTH:
            self.opaque(value)
            return
        self._depth += 1
        writer = _WRITERS.get(type(value))
        if writer is not None:
            writer(self, value)
        else:
            self._object(value)
        self._depth -= 1

    def branch(self) -> Writer:
        """Return a writer that goes on from here and writes beside."""
        inner = Writer(self.guide, self.home)
        inner.reaches = self.reaches
        inner._numbers = dict(self._numbers)
        inner._alive = self._alive
        inner._depth = self._depth
        return inner

    def _items(self, tag: bytes, items: Collection[Any]) -> None:
        self.put(tag, str(len(items)))
        for item in items:
            self.write(item)

    def _dict(self, value: dict[Any, Any]) -> None:
        self.put(b"d", str(len(value)))
        for key, item in list(value.items()):
            self.write(key)
            self.write(item)

    def _set(self, tag: bytes, value: Iterable[Any]) -> None:
        written = []
        for item in value:
            inner = self.branch()
            inner.write(item)
            self.is_opaque |= inner.is_opaque
            self.notes |= inner.notes
            written.append(b"".join(inner.out))
        self.put(tag, str(len(written)))
        for piece in sorted(written):
            self.put(b",", piece)

    def _function(self, value: types.FunctionType) -> None:
        module: Any = value.__globals__.get("__name__")
        if self.guide.modules.is_code_inside(module):
            facts = facts_of(value.__code__)
            self.put(b"F", facts.digest)
            for binding in self.guide.bindings(self, facts, value.__globals__):
                self.put(b"=", binding)
            self.write(_annotations(value).get("return"))
            self._hints(value, value.__globals__)
        else:
            self.put(b"f", self.guide.named(self, (module, value.__qualname__), value))
            if module == "functools" and "registry" in value.__dict__:  # singledispatch; its cells hold a cache
                self._items(b"l", list(value.__dict__["registry"].items()))
                return
        self.write(value.__defaults__)
        self.write(value.__kwdefaults__)
        for cell in value.__closure__ or ():
            self._cell(cell)
        wrapped = value.__dict__.get("__wrapped__")
        if wrapped is not None:
            self.write(wrapped)
            # A decorator may act by the annotations, as validators do.
            self._dict(_annotations(wrapped) if isinstance(wrapped, types.FunctionType) else {})

    def _cell(self, cell: types.CellType) -> None:
        try:
            held = cell.cell_contents
        except ValueError:
            self.put(b"_")
        else:
            self.write(held)

    def _hints(self, value: Any, globals_: dict[str, Any]) -> None:
        """Refer to what the annotations name: the code of an argument's class runs when its methods are called."""
        for hint in _annotations(value).values():
            if type(hint) is str:
                for chain in _chains(hint):
                    self.guide.hint(self, chain, globals_)
            else:
                self.branch().write(hint)

    def _class(self, value: type) -> None:
        self.put(b"C", value.__qualname__)
        self.write(value.__bases__)
        self.write(type(value))
        is_plain = self._is_plain_kind(type(value))
        if not is_plain:
            self.opaque(value)  # its metaclass may keep things where nobody sees them
        members = value._member_map_ if isinstance(value, enum.EnumMeta) else {}
        for name, member in members.items():
            self.put(b"m", name)
            self.write(member._value_)
        for name in sorted(vars(value)):
            entry = vars(value)[name]
            if name in members or _is_derived(value, name, entry):
                continue
            if is_plain or isinstance(entry, _FUNCTION_LIKE):
                self.put(b"k", name)
                self.write(entry)
        if "__annotations__" in vars(value):
            self._hints(value, vars(sys.modules.get(value.__module__, types)))

    def _is_plain_kind(self, metaclass: type) -> bool:
        module = metaclass.__module__
        if type(module) is not str:  # a property for its classes, as Cython has it
            return False
        return module.partition(".")[0] in sys.stdlib_module_names or self.guide.modules.is_inside(module)

    def _builtin(self, value: Any) -> None:
        owner = value.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            module = value.__module__ or "builtins"
            self.put(b"@", self.guide.named(self, (module, value.__qualname__), value))
        else:
            self._wrapping(b"W", owner, value.__name__)

    def _wrapping(self, tag: bytes, inner: Any, name: str = "") -> None:
        self.put(tag, name)
        self.write(inner)

    def _property(self, value: property) -> None:
        self.put(b"p")
        for function in (value.fget, value.fset, value.fdel):
            self.write(function)

    def _cached(self, value: Any) -> None:
        self._wrapping(b"L", value.cache_parameters())
        self.write(value.__wrapped__)

    def _method(self, value: types.MethodType) -> None:
        self._wrapping(b"M", value.__func__)
        self.write(value.__self__)

    def _object(self, value: Any) -> None:
        if issubclass(type(value), type):  # isinstance takes ``list[int]`` for a class, and believes proxies
            self._class(value)
        elif isinstance(value, types.ModuleType):
            self.put(b"@", self.guide.module(self, value))
        elif getattr(type(value), STEP_HOOK, None) is not None:
            self.write(unwrapped(value))
        elif isinstance(value, enum.Enum):
            self.put(b"e", str(value._name_))
            self.write(type(value))
            self.write(value._value_)
        elif isinstance(value, PurePath):
            self.put(b"P", type(value).__name__)
            self._path(str(value))
        elif type(value).__module__ == "typing" and type(value).__name__ in _TYPE_NAMES:
            self.put(b"N", value.__name__)
            for stands_for in ("__bound__", "__constraints__", "__supertype__", "__value__"):
                self.write(_evaluated(value, stands_for))
        elif type(value).__module__ == "_thread":
            self.put(b"T", type(value).__name__)  # a lock has no content
        else:
            self._instance(value)

    def _instance(self, value: Any) -> None:
        """Add class and state of an object, as ``copy.copy`` would take them."""
        kind = type(value)
        self.put(b"o")
        self.write(kind)
        if self.guide.modules.is_inside(kind.__module__) and any(
            getattr(kind, name) is not getattr(object, name) for name in _OWN_COPYING
        ):
            self._state(value, object.__getstate__(value))  # what is copied may leave out what is used
        reduce = copyreg.dispatch_table.get(kind)
        try:
            reduced = reduce(value) if reduce is not None else value.__reduce_ex__(4)
        except Exception:  # noqa: BLE001 (anybody's code, any error: then there is no content to compare, and we say so)
            self.opaque(value)
            return
        if isinstance(reduced, str):
            self._global(value, reduced)
            return
        self._alive.append(reduced)
        function, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        self.write(function)
        self.write(arguments)
        self._state(value, state)
        self._items(b"l", list(items or ()))
        self._items(b"l", list(pairs or ()))

    def _state(self, value: Any, state: Any) -> None:
        if type(state) is dict:
            state = {name: item for name, item in state.items() if name != "__doc__"}
            self._alive.append(state)
        elif type(state) is bytes and _PICKLE.search(state):
            self.opaque(value)  # functions inside, as polars keeps them: their code cannot be compared
            return
        self.write(state)

    def _global(self, value: Any, name: str) -> None:
        module = getattr(value, "__module__", None) or type(value).__module__
        if getattr(sys.modules.get(module), name, None) is value:
            self.put(b"g", f"{module}:{name}")
        else:
            self.opaque(value)


def _annotations(value: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = value.__annotations__
    except NameError:  # Python 3.14 evaluates them now, and some names exist for type checkers only
        return {"return": value.__annotate__}
    return found


def _evaluated(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except NameError:  # evaluated on first use since Python 3.12: as above
        return None


@functools.cache
def _chains(hint: str) -> tuple[Chain, ...]:
    return tuple(tuple(found.split(".")) for found in _DOTTED.findall(hint))


def _is_derived(owner: type, name: str, entry: Any) -> bool:
    """Tell whether a class has *entry* as a consequence of others, or for bookkeeping."""
    if name in _BOOKKEEPING or name.startswith("__pydantic_"):
        return True
    if isinstance(owner, enum.EnumMeta):
        return name.startswith("_") and name.endswith("_") and not isinstance(entry, _FUNCTION_LIKE)
    if isinstance(entry, types.FunctionType) and entry.__code__.co_filename.startswith("<attrs generated"):
        return True  # from __attrs_attrs__, which is written; the hash method holds a number from the hash seed
    if name in _GENERATED and dataclasses.is_dataclass(owner) and isinstance(entry, types.FunctionType):
        return entry.__code__.co_filename == "<string>" or entry.__globals__.get("__name__") in (
            "dataclasses",
            "reprlib",
        )
    return False


_WRITERS: dict[type, Callable[[Writer, Any], None]] = {
    tuple: lambda writer, value: writer._items(b"t", value),
    list: lambda writer, value: writer._items(b"l", value),
    dict: Writer._dict,
    types.MappingProxyType: Writer._dict,
    set: lambda writer, value: writer._set(b"S", value),
    frozenset: lambda writer, value: writer._set(b"Z", value),
    types.FunctionType: Writer._function,
    types.BuiltinFunctionType: Writer._builtin,
    types.MethodType: Writer._method,
    types.MethodWrapperType: lambda writer, value: writer._wrapping(b"W", value.__self__, value.__name__),
    types.CodeType: lambda writer, value: writer.put(b"c", facts_of(value).digest),
    types.CellType: Writer._cell,
    type: Writer._class,
    property: Writer._property,
    functools._lru_cache_wrapper: Writer._cached,
    staticmethod: lambda writer, value: writer._wrapping(b"u", value.__func__),
    classmethod: lambda writer, value: writer._wrapping(b"v", value.__func__),
    **dict.fromkeys(_DESCRIPTORS, lambda writer, value: writer.put(b"D", value.__qualname__)),
}
