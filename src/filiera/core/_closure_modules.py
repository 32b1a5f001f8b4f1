"""Modules as a closure sees them: whose code they are, what they import, where a value in them was defined."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import field
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, CodeType, MethodType, ModuleType
from typing import Any

from filiera.core._closure_code import Import, facts_of, imports_of
from filiera.core.distributions import distribution_of
from filiera.core.value import dataclass
from filiera.errors import ProjectError

STEP_HOOK = "__filiera_function__"
"""An object whose class has this attribute stands for the function it holds there."""

_ROOT_MARKS = ("filiera.toml", "pyproject.toml", ".git")
_MAIN = frozenset(("__main__", "__mp_main__"))
MISSING = object()


@dataclass(frozen=True, slots=True)
class ImportTable:
    """What the top level of a module imports."""

    names: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  #: name → (module, attribute or "")
    stars: list[str] = field(default_factory=list)  #: modules of which all names are imported


@dataclass(frozen=True, slots=True)
class Modules:
    """Answers about modules for one survey; whose code a module is does not change during it."""

    is_project: Callable[[str], bool]
    _inside: dict[str, bool] = field(default_factory=dict)

    def is_inside(self, name: str) -> bool:
        """Tell whether the code of module *name* is followed, instead of standing under a version."""
        known = self._inside.get(name)
        if known is None:
            known = self._inside[name] = self._decide(name)
        return known

    def is_code_inside(self, globals_name: Any) -> bool:
        """Tell the same for code by the ``__name__`` it runs under.

        Generated code (named tuples, attrs) has one that no module has, and no version stands for it.
        """
        if globals_name not in sys.modules:
            self._inside[globals_name] = True
        return self.is_inside(globals_name)

    def _decide(self, name: str) -> bool:
        if name in _MAIN or self.is_project(name):
            return True
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            return False
        return distribution_of(top) is None

    def attribute(self, module: ModuleType, name: str) -> Any:
        """Return an attribute of a module that is inside, a submodule not yet imported too, or MISSING."""
        found = vars(module).get(name, MISSING)
        if found is not MISSING:
            return found
        if "__getattr__" in vars(module):
            return getattr(module, name, MISSING)
        if "__path__" in vars(module):
            return load(f"{module.__name__}.{name}")
        return MISSING

    def origin(self, module_name: str, name: str, value: object) -> tuple[str, str]:
        """Return module and name under which *value*, known as *name* in a module, was made first."""
        for _ in range(100):
            table = imports_at_top(module_name)
            candidates = [*table.names.get(name, ()), *((star, name) for star in table.stars)]
            for source, attribute in candidates:
                module = sys.modules.get(source)
                if attribute and module is not None and vars(module).get(attribute, MISSING) is value:
                    module_name, name = source, attribute
                    break
            else:
                return module_name, name
            if not self.is_inside(module_name):
                return module_name, name
        return module_name, name

    def sources(self, module_name: str) -> Iterator[tuple[str, bytes | None]]:
        """Yield name and source of a module and of all modules inside that it imports, one by another.

        The source is None where there is no file.
        """
        waiting, seen = [module_name], {module_name}
        while waiting:
            module = sys.modules.get(waiting.pop())
            if module is None:
                continue
            yield module.__name__, _file_content(module)
            for imported in self._imported(module):
                if imported not in seen and self.is_inside(imported):
                    seen.add(imported)
                    waiting.append(imported)

    def _imported(self, module: ModuleType) -> Iterator[str]:
        code = _code_of(getattr(module, "__spec__", None))
        for found in facts_of(code).imports if code else ():
            name = absolute(found, vars(module))
            parts = name.split(".")
            for end in range(1, len(parts)):
                yield ".".join(parts[:end])
            if self.is_inside(name) and isinstance(source := load(name), ModuleType):
                yield name
                member = self.attribute(source, found.path[0]) if found.from_list and found.path else None
                if isinstance(member, ModuleType):
                    yield member.__name__


def public_name(module_name: str) -> str:
    """Return the name under which a module is filed: for a script run with ``-m``, its real name."""
    spec = getattr(sys.modules.get(module_name), "__spec__", None) if module_name in _MAIN else None
    return spec.name if spec is not None else module_name


def load(name: str) -> Any:
    """Return a module of the project, imported if need be, or MISSING.

    Raises:
        ProjectError: It is there, but its code fails.
    """
    module = sys.modules.get(name)
    if module is not None:
        return module
    try:
        return importlib.import_module(name)
    except ImportError:
        return MISSING
    except Exception as error:
        raise ProjectError(
            f"Module {name!r} cannot be imported: {type(error).__name__}: {error}",
            why="A step imports it when it runs, so what the step does cannot be known without it.",
            do=f"python -c 'import {name}'   and repair what it says.",
        ) from error


def absolute(found: Import, globals_: dict[str, Any]) -> str:
    """Return the full name of the module that an import statement in a module with *globals_* names."""
    if not found.level:
        return found.module
    package = globals_.get("__package__") or globals_.get("__name__", "")
    if not globals_.get("__package__") and "__path__" not in globals_:
        package = package.rpartition(".")[0]
    base = package.rsplit(".", found.level - 1)[0] if found.level > 1 else package
    return f"{base}.{found.module}" if found.module else base


def canonical_name(value: Any) -> tuple[str, str] | None:
    """Return module and qualified name of a function or class if it is found there, else None.

    What decorators, ``staticmethod`` and steps wrap is found behind them.
    """
    if type(value) in (MethodType, BuiltinFunctionType) and (exported := _exported_name(value)) is not None:
        return exported
    module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if type(module) is not str or type(path) is not str or "<" in path or type(value) in (staticmethod, classmethod):
        return None
    owner: Any = sys.modules.get(module)
    for part in path.split("."):
        owner = getattr(owner, "__dict__", {}).get(part)
    return (module, path) if owner is value or unwrapped(owner) is value else None


def _exported_name(method: Any) -> tuple[str, str] | None:
    """Return the name of a bound method that its module offers as a function, such as ``random.choice``."""
    module, name = type(method.__self__).__module__, method.__name__
    exported: object = getattr(sys.modules.get(module), name, None)
    return (module, name) if exported is method else None


def unwrapped(value: Any) -> Any:
    """Return the function inside a step, ``staticmethod`` or ``classmethod``; anything else as it is.

    >>> unwrapped(staticmethod(len)) is len
    True
    """
    if type(value) in (staticmethod, classmethod):
        return value.__func__
    if getattr(type(value), STEP_HOOK, None) is not None:
        return getattr(value, STEP_HOOK)
    return value


_tables: dict[str, tuple[object, ImportTable]] = {}


def imports_at_top(module_name: str) -> ImportTable:
    """Return what the top level of a loaded module imports; empty when its code is not to be had."""
    module = sys.modules.get(module_name)
    spec = getattr(module, "__spec__", None)
    known = _tables.get(module_name)
    if known is not None and known[0] is spec:
        return known[1]
    table = ImportTable()
    code = _code_of(spec)
    if module is not None and code is not None:
        _fill(table, code, vars(module))
    _tables[module_name] = (spec, table)
    return table


def _code_of(spec: Any) -> CodeType | None:
    get_code = getattr(getattr(spec, "loader", None), "get_code", None)
    if get_code is None:
        return None
    try:
        code: CodeType | None = get_code(spec.name)
    except (ImportError, OSError, SyntaxError):
        return None  # the file was changed or removed since it was imported
    return code


def _fill(table: ImportTable, code: CodeType, globals_: dict[str, Any]) -> None:
    for name, found in imports_of(code):
        module = absolute(found, globals_)
        if name == "*":
            table.stars.append(module)
        elif found.from_list:
            table.names.setdefault(name, []).append((module, found.path[-1]))
        else:
            table.names.setdefault(name, []).append((".".join((module.partition(".")[0], *found.path)), ""))


def _file_content(module: ModuleType) -> bytes | None:
    file = getattr(module, "__file__", None)
    try:
        return Path(file).read_bytes() if file else None
    except OSError:
        return None


def project_roots(module_name: str) -> tuple[str, ...]:
    """Return the folder of the project that a module is in, as imported and as resolved; () when it has no file."""
    file = getattr(sys.modules.get(module_name), "__file__", None)
    return _roots(file, module_name.count(".")) if file else ()


@cache
def _roots(file: str, dots: int) -> tuple[str, ...]:
    path = Path(os.path.abspath(file))  # noqa: PTH100 (resolving links is the second answer)
    up = dots + (path.stem == "__init__")
    folder = path.parents[min(up, len(path.parents) - 1)]
    above = (folder, *folder.parents)[:4]
    root = next((place for place in above if any((place / mark).exists() for mark in _ROOT_MARKS)), folder)
    return tuple(dict.fromkeys((str(root), os.path.realpath(root))))
