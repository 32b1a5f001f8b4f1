"""Follows names from part to part until nothing new is reached."""

from __future__ import annotations

import functools
import os
import sys
import types
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import Any, Literal

from filiera.core._closure_code import Chain, CodeFacts, Import
from filiera.core._closure_modules import (
    MISSING,
    Modules,
    absolute,
    canonical_name,
    imports_at_top,
    load,
    public_name,
    unwrapped,
)
from filiera.core._closure_values import Writer
from filiera.core.digest import blob_digest, digest
from filiera.core.distributions import distribution_of
from filiera.core.value import dataclass

PartKind = Literal[
    "environment",
    "processors",
    "function",
    "class",
    "constant",
    "opaque",
    "module",
    "source",
    "distribution",
    "python",
]
Key = tuple[str, str]
"""What sort of node, and its name."""

_UNFOLLOWED = {
    ("builtins", "eval"): "eval",
    ("builtins", "exec"): "exec",
    ("builtins", "globals"): "globals",
    ("builtins", "__import__"): "__import__",
    ("importlib", "import_module"): "importlib.import_module",
    ("os", "environ"): "os.environ",
    ("os", "getenv"): "os.getenv",
}
_OWN_NAMESPACE = frozenset(("eval", "exec", "globals"))
_PLACE = frozenset(
    ("__name__", "__file__", "__package__", "__spec__", "__loader__", "__cached__", "__builtins__", "__debug__")
)
_CALLABLE = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    functools.partial,
    functools._lru_cache_wrapper,
)


@dataclass(slots=True)
class Node:
    """One part, and the parts it refers to."""

    name: str
    home: str  #: the module it is filed under
    value: Any
    kind: PartKind = "constant"
    digest: str = ""
    reaches: set[Key] = field(default_factory=set)
    notes: set[str] = field(default_factory=set)


class Survey:
    """The parts reached so far. Constants are read once: a survey is one moment."""

    def __init__(self, is_project: Callable[[str], bool]) -> None:
        self.modules = Modules(is_project)
        self.nodes: dict[Key, Node] = {}
        self._waiting: list[tuple[Key, Node]] = []
        python = f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}"
        self._python = self._fixed("python", python)

    def follow(self, thing: Any) -> Key:
        """Return the node of *thing*, after following all that it reaches."""
        value = unwrapped(thing)
        name = canonical_name(value)
        home = name[0] if name else getattr(value, "__module__", None) or type(value).__module__
        path = name[1] if name else getattr(value, "__qualname__", type(value).__qualname__)
        key = self._node(home, path, value)
        while self._waiting:
            self._write(*self._waiting.pop())
        return key

    def reached_from(self, start: Key) -> list[Node]:
        """Return the nodes reached from *start*, itself and the interpreter's included."""
        seen, waiting = {start, self._python}, [start]
        while waiting:
            for key in self.nodes[waiting.pop()].reaches:
                if key not in seen:
                    seen.add(key)
                    waiting.append(key)
        return [self.nodes[key] for key in seen]

    def named(self, writer: Writer, name: tuple[str, str], value: object) -> str:
        module, path = name
        if not self.modules.is_inside(module):
            return self._outside(writer, module, path)
        key = self._node(module, path, value)
        writer.reaches.add(key)
        return key[1]

    def module(self, writer: Writer, value: types.ModuleType) -> str:
        name = value.__name__
        if not self.modules.is_inside(name):
            return self._outside(writer, name, "")
        key = ("module", name)
        if key not in self.nodes:
            self._add(key, Node(public_name(name), name, value, "module"))
        writer.reaches.add(key)
        return name

    def bindings(self, writer: Writer, facts: CodeFacts, globals_: dict[str, Any]) -> Iterable[str]:
        found = [f"{'.'.join(chain)}={self._global(writer, chain, globals_)}" for chain in facts.loads]
        found += [self._import(writer, statement, globals_) for statement in facts.imports]
        if ("getattr",) in facts.loads and any(sort == "module" for sort, _ in writer.reaches):
            writer.notes.add("uses getattr on a module")
        return sorted(found)

    def hint(self, writer: Writer, chain: Chain, globals_: dict[str, Any]) -> None:
        name, module = chain[0], globals_.get("__name__", "")
        value = globals_.get(name, MISSING)
        if value is MISSING:
            for source, attribute in imports_at_top(module).names.get(name, ()):
                value = self._for_type_checkers(writer, source, attribute)
        if isinstance(value, types.ModuleType):
            if len(chain) > 1:
                self._chain(writer, module, name, value, chain[1:])
        elif issubclass(type(value), type) or type(value).__module__ in ("typing", "types"):
            self._bound(writer, module, name, value)

    def _for_type_checkers(self, writer: Writer, source: str, attribute: str) -> Any:
        if not self.modules.is_inside(source):
            self._outside(writer, source, attribute)
            return MISSING
        module = load(source)
        return self.modules.attribute(module, attribute) if attribute and module is not MISSING else module

    def _global(self, writer: Writer, chain: Chain, globals_: dict[str, Any]) -> str:
        name = chain[0]
        if name in _PLACE:
            return "place"
        module = globals_.get("__name__", "")
        if name in globals_:
            return self._chain(writer, module, name, globals_[name], chain[1:])
        if name == "__path__":
            return "missing"
        builtins = globals_.get("__builtins__", {})
        if name in (builtins if isinstance(builtins, dict) else vars(builtins)):
            if name in _OWN_NAMESPACE and module in sys.modules:
                self.module(writer, sys.modules[module])
            return self._note(writer, "builtins", name)
        return "missing"

    def _import(self, writer: Writer, statement: Import, globals_: dict[str, Any]) -> str:
        name = absolute(statement, globals_)
        base = name if statement.from_list else name.partition(".")[0]
        label = f"import {name}:{'.'.join(statement.path)}="
        if not self.modules.is_inside(name):
            return label + self._note(writer, base, ".".join(statement.path))
        load(name)
        module = load(base)
        if module is MISSING:
            return label + "missing"
        return label + self._chain(writer, base, "", module, statement.path)

    def _chain(self, writer: Writer, module: str, name: str, value: Any, attributes: Chain) -> str:
        """Return what attributes read one after the other lead to, as far as they go through modules."""
        for at, attribute in enumerate(attributes):
            if not isinstance(value, types.ModuleType):
                break
            module, name = value.__name__, attribute
            if not self.modules.is_inside(module):
                return self._note(writer, module, ".".join(attributes[at:]))
            if attribute in _PLACE:
                return "place"
            if attribute in ("__dict__", "__path__"):
                return self.module(writer, value)
            value = self.modules.attribute(value, attribute)
            if value is MISSING:
                return "missing"
        return self._bound(writer, module, name, value)

    def _bound(self, writer: Writer, module: str, name: str, value: Any) -> str:
        """Return how the value of a name in a module is referred to: by where it was made, if that can be seen."""
        if isinstance(value, types.ModuleType):
            return self.module(writer, value)
        value = unwrapped(value)
        known = canonical_name(value) if callable(value) else None
        found = known or self.modules.origin(module, name, value)
        return self.named(writer, found, value) if self.modules.is_inside(found[0]) else self._note(writer, *found)

    def _note(self, writer: Writer, module: str, path: str) -> str:
        """Return how something outside is referred to, and note when it is a way to what cannot be followed."""
        reason = _UNFOLLOWED.get((module, path.partition(".")[0]))
        if reason:
            writer.notes.add(f"uses {reason}")
        return self._outside(writer, module, path)

    def _outside(self, writer: Writer, module: str, path: str) -> str:
        top = module.partition(".")[0]
        if top not in sys.stdlib_module_names:
            found = distribution_of(top)
            if found is not None:
                writer.reaches.add(self._fixed("distribution", " ".join(found)))
        return f"{module}:{path}"

    def _fixed(self, kind: PartKind, name: str) -> Key:
        key = (kind, name)
        if key not in self.nodes:
            self.nodes[key] = Node(name, "", None, kind, digest(f"{kind}/1", name.encode()))
        return key

    def _node(self, module: str, path: str, value: Any) -> Key:
        name = f"{public_name(module)}:{path}"
        key = ("value", name)
        while key in self.nodes and self.nodes[key].value is not value:
            key = ("value", key[1] + "'")  # another value under the same name: it was defined twice
        if key not in self.nodes:
            kind: PartKind = "constant"
            if issubclass(type(value), type):
                kind = "class"
            elif issubclass(type(value), _CALLABLE):
                kind = "function"
            self._add(key, Node(key[1], module, value, kind))
        return key

    def _add(self, key: Key, node: Node) -> None:
        self.nodes[key] = node
        self._waiting.append((key, node))

    def _write(self, key: Key, node: Node) -> None:
        writer = Writer(self, node.home)
        if node.kind == "module":
            self._write_module(writer, node.value)
        else:
            writer.content(node.value)
        node.notes = {f"{node.name}: {note}" for note in writer.notes}
        if writer.is_opaque:
            node.kind = "opaque"
            writer.reaches.update(self._sources(node.home))
        node.digest = digest(f"{node.kind}/1", *writer.out)
        node.reaches = writer.reaches - {key}

    def _write_module(self, writer: Writer, module: types.ModuleType) -> None:
        imported = imports_at_top(module.__name__).names
        for name, value in sorted(vars(module).items()):
            is_submodule = isinstance(value, types.ModuleType) and name not in imported  # there if anyone imported it
            if is_submodule or (name.startswith("__") and name.endswith("__") and name != "__getattr__"):
                continue
            writer.put(b"=", f"{name}={self._bound(writer, module.__name__, name, value)}")
        writer.notes.clear()  # having eval as a member is not calling it

    def _sources(self, home: str) -> Iterable[Key]:
        """Yield parts for the source of a module and of all that it imports: they decide what it holds."""
        if home not in sys.modules or not self.modules.is_inside(home):
            yield self._never_equal(home)
        for name, content in self.modules.sources(home):
            if content is None:
                yield self._never_equal(name)
                continue
            key = ("source", name)
            if key not in self.nodes:
                self.nodes[key] = Node(public_name(name), name, None, "source", blob_digest(content))
            yield key

    def _never_equal(self, name: str) -> Key:
        """Return a part that no other closure has: nothing here tells whether the value is the same next time."""
        key = ("source", name)
        self.nodes[key] = Node(name, name, None, "source", os.urandom(32).hex())
        return key
