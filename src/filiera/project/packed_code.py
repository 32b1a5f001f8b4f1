"""The code of a service version: packed when it is published, loaded beside the code that the project has now.

So two versions of one graph, whose functions differ, answer in one process, and an old one needs no checkout.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from importlib.util import resolve_name, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from filiera.core.digest import digest
from filiera.core.package import Code
from filiera.errors import ProjectError

_PREFIX = "filiera_code_"
_SHOWN_DIGITS = 16


def pack(modules: Iterable[str], root: Path) -> Code:
    """Return the text of *modules* and of all modules of the project in *root* that these import, at any time.

    Raises:
        ProjectError: A module is not among the project's files.
    """
    packing = _Packing(root)
    for module in modules:
        if not packing.add(module):
            raise ProjectError(
                f"The code of module {module!r} is not in {root}.",
                why="A service version keeps the code of its functions, so that it can be served for ever.",
                do="Move the function into a module of the project.",
            )
    return packing.code


def load(code: Code) -> Callable[[str], str]:
    """Make packed code importable, and return what says under which name a module of it is.

    Modules that are not in it are what they are for everybody.

    Raises:
        ProjectError: A module raised while it was imported.
    """
    parts = [part.encode() for item in sorted(code.modules.items()) for part in item]
    prefix = _PREFIX + digest("code/1", *parts)[:_SHOWN_DIGITS]
    if prefix not in _finder.codes:
        _finder.codes[prefix] = code
        if _finder not in sys.meta_path:
            sys.meta_path.append(_finder)
    for module in code.modules:
        try:
            importlib.import_module(f"{prefix}.{module}")
        except (Exception, SystemExit) as error:
            raise ProjectError(
                f"The packed module {module!r} cannot be imported: {type(error).__name__}: {error}.",
                do="Install what it needs in this environment.",
            ) from error
    return lambda module: f"{prefix}.{module}" if module in code.modules else module


class _Packing:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._modules: dict[str, str] = {}
        self._packages: set[str] = set()

    @property
    def code(self) -> Code:
        return Code(modules=dict(sorted(self._modules.items())), packages=tuple(sorted(self._packages)))

    def add(self, module: str) -> bool:
        """Add a module and what it imports; tell whether the project has it."""
        if module in self._modules:
            return True
        if module.partition(".")[0] == "filiera":
            return False
        base = self._root.joinpath(*module.split("."))
        file = base / "__init__.py" if (base / "__init__.py").is_file() else base.with_suffix(".py")
        if not file.is_file() and not base.is_dir():
            return False
        if base.is_dir():
            self._packages.add(module)
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        self._modules[module] = text
        parent = module.rpartition(".")[0]
        if parent:
            self.add(parent)
        for name in _imported(text, module, is_package=base.is_dir()):
            self.add(name)
        return True


def _imported(text: str, module: str, *, is_package: bool) -> Iterator[str]:
    """Yield the full names of what a module may import, and of what might be modules among it."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


class _Loader(InspectLoader):
    """Loads one packed module, in which imports find the other packed ones first."""

    def __init__(self, prefix: str, module: str) -> None:
        self._prefix = prefix
        self._module = module

    def is_package(self, fullname: str) -> bool:
        return not self._module or self._module in _finder.codes[self._prefix].packages

    def get_source(self, fullname: str) -> str:
        return _finder.codes[self._prefix].modules[self._module] if self._module else ""

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        exec(self.source_to_code(self.get_source(module.__name__), f"<{module.__name__}>"), module.__dict__)  # noqa: S102 - the project's own code, as published

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - as ``__import__`` has it
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level or name not in _finder.codes[self._prefix].modules:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        found = importlib.import_module(f"{self._prefix}.{name}")
        for each in fromlist or ():
            if f"{name}.{each}" in _finder.codes[self._prefix].modules:
                importlib.import_module(f"{self._prefix}.{name}.{each}")
        return found if fromlist else sys.modules[f"{self._prefix}.{name.partition('.')[0]}"]


class _Finder:
    """Finds packed modules by names that begin with the digest of all of them."""

    def __init__(self) -> None:
        self.codes: dict[str, Code] = {}

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        prefix, _, module = fullname.partition(".")
        code = self.codes.get(prefix)
        if code is None or (module and module not in code.modules):
            return None
        return spec_from_loader(fullname, _Loader(prefix, module))


_finder = _Finder()
