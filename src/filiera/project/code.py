"""The code closure of each step of a project, computed once per process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from filiera.core import plain
from filiera.core.closure import Closure, Part, changes, closures_of, decode, encode
from filiera.core.digest import digest
from filiera.core.distributions import distribution_of
from filiera.core.graph import Node, OutputRef, map_futures
from filiera.core.task import SourceStamp
from filiera.engine.planner import Code
from filiera.project.plugins import source_reader

_OUTSIDE = ("site-packages", "dist-packages", ".venv", "venv", ".filiera")
_BUILTIN = "filiera.project.builtin"
_COLLECT = f"{_BUILTIN}:collect"
_READ_FROM_FILES = ("function", "class", "constant", "opaque", "module", "source")
_first_stamps: WeakKeyDictionary[ModuleType, tuple[Any, tuple[int, int]]] = WeakKeyDictionary()
"""Size and time of each module's file when this process first asked: later edits are not what the module is made of.

Beside them the module's ``__spec__``, another one after a reload.
"""
_NAMELESS = frozenset({int, float, str, bool, bytes, type(None), OutputRef})
"""Types of arguments, by far the most frequent, in which no function or class can lie."""


class ProjectCode:
    """Knows which modules are the project's own."""

    def __init__(self, root: Path, environment: Callable[[str], str] = str) -> None:
        """Know the project in *root*; *environment* gives the digest of the environment of a requirements file."""
        self._root = root.resolve()
        self._environment = environment
        self._own: dict[str, bool] = {}
        self._closures: dict[tuple[Any, ...], Closure] = {}
        self._codes: dict[tuple[Any, ...], Code] = {}

    def of(self, node: Node) -> Code:
        """Return the digest and the parts of the code that a node's step and its arguments reach."""
        things = self._things(node)
        env, cpu = node.step.options.env, node.step.options.resources.cpu
        known = self._codes.get((env, cpu, *things))
        if known is None:
            closure = self._closure(things)
            parts = tuple(sorted((*closure.parts, *self._place(env, cpu))))
            closure = Closure(parts=parts, opaque=closure.opaque)
            known = self._codes[(env, cpu, *things)] = Code(closure.digest, encode(closure), self._stamps(closure))
        return known

    def opaque(self, node: Node) -> tuple[str, ...]:
        """Return the functions a node reaches that look names up while they run, so that we cannot follow them."""
        return self._closure(self._things(node)).opaque

    def show(self, parts: bytes) -> list[tuple[str, str, str]]:
        """Return kind, name and digest of every part of a recorded closure."""
        return [(part.kind, part.name, part.digest) for part in decode(parts).parts]

    def _place(self, env: str, cpu: int) -> Iterator[Part]:
        """Yield what a step's options say of the process it runs in, as far as its result can depend on it."""
        if env:
            yield Part(kind="environment", name=env, digest=self._environment(env))
        if cpu > 1:  # sums that several threads share have other last digits
            yield Part(kind="processors", name=str(cpu), digest=digest("processors/1", str(cpu).encode()))

    def _things(self, node: Node) -> tuple[Any, ...]:
        """Return the step's function, and the functions and classes that lie in its arguments."""
        found: dict[Any, None] = {node.step.function: None}
        for value in node.arguments.values():
            if type(value) in _NAMELESS:
                continue
            # Without the futures: their code is ours, and a late one holds a function that is another in every run.
            found.update(dict.fromkeys(plain.names_in(map_futures(value, lambda future: None))))
        if node.step.address == _COLLECT:
            found[type(source_reader(node.arguments["entry"]["type"]))] = None
        return tuple(found)

    def _closure(self, things: tuple[Any, ...]) -> Closure:
        if things not in self._closures:
            each = closures_of(things, is_project=self.is_project)
            parts = {part for closure in each for part in closure.parts}
            parts.update(_versions(things[0]))
            opaque = dict.fromkeys(place for closure in each for place in closure.opaque)
            self._closures[things] = Closure(parts=tuple(sorted(parts)), opaque=tuple(opaque))
        return self._closures[things]

    def _stamps(self, closure: Closure) -> tuple[SourceStamp, ...]:
        """Return which files of the project the closure was read from, as they are now."""
        modules = dict.fromkeys(part.name.partition(":")[0] for part in closure.parts if part.kind in _READ_FROM_FILES)
        found = []
        for module in modules:
            loaded = sys.modules.get(module)
            file = getattr(loaded, "__file__", None)
            if loaded is not None and file and self.is_project(module):
                found.append((module, file, *_first_stamp(loaded, file)))
        return tuple(found)

    def compare(self, old: bytes, new: bytes) -> list[str]:
        """Return in words which parts of two closures differ."""
        return changes(decode(old), decode(new))

    def is_project(self, module: str) -> bool:
        """Tell whether a module's file lies in the project's folder, outside installed packages."""
        if module not in self._own:
            self._own[module] = module == "__main__" or self._is_under_root(module)
        return self._own[module]

    def _is_under_root(self, module: str) -> bool:
        if module.partition(".")[0] == "filiera":
            return False
        loaded = sys.modules.get(module)
        if loaded is None:  # a function imports it when it runs
            place = self._root.joinpath(*module.split("."))
            return place.is_dir() or place.with_suffix(".py").is_file()
        file = getattr(loaded, "__file__", None)
        if not file:
            return False
        path = Path(file).resolve()
        return path.is_relative_to(self._root) and not set(_OUTSIDE).intersection(path.relative_to(self._root).parts)


def _first_stamp(module: ModuleType, file: str) -> tuple[int, int]:
    known = _first_stamps.get(module)
    if known is None or known[0] is not module.__spec__:
        stat = Path(file).stat()
        known = _first_stamps[module] = module.__spec__, (stat.st_size, stat.st_mtime_ns)
    return known[1]


def _versions(function: Any) -> Iterator[Part]:
    """Yield the versions of libraries that a built-in step uses without its closure saying so."""
    if function.__module__ != _BUILTIN:
        return
    from filiera.project.builtin import LIBRARIES

    for library in LIBRARIES.get(function, ()):
        found = distribution_of(library)
        if found is not None:
            name = " ".join(found)
            yield Part(kind="distribution", name=name, digest=digest("distribution/1", name.encode()))
