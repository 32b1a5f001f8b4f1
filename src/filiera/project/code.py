"""The code closure of each step of a project, computed once per process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from filiera.core.closure import changes, closure_of, decode, encode
from filiera.core.step import Step
from filiera.engine.planner import Code

_OUTSIDE = ("site-packages", "dist-packages", ".venv", "venv", ".filiera")


class ProjectCode:
    """Knows which modules are the project's own."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._own: dict[str, bool] = {}
        self._codes: dict[Any, Code] = {}

    def of(self, step: Step[..., object]) -> Code:
        """Return the digest and the parts of the code that a step reaches."""
        if step.function not in self._codes:
            closure = closure_of(step.function, is_project=self.is_project)
            self._codes[step.function] = Code(closure.digest, encode(closure))
        return self._codes[step.function]

    def opaque(self, step: Step[..., object]) -> tuple[str, ...]:
        """Return the functions a step reaches that look names up while they run, so that we cannot follow them."""
        return closure_of(step.function, is_project=self.is_project).opaque

    def show(self, parts: bytes) -> list[tuple[str, str, str]]:
        """Return kind, name and digest of every part of a recorded closure."""
        return [(part.kind, part.name, part.digest) for part in decode(parts).parts]

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
        file = getattr(sys.modules.get(module), "__file__", None)
        if not file:
            return False
        path = Path(file).resolve()
        return path.is_relative_to(self._root) and not set(_OUTSIDE).intersection(path.relative_to(self._root).parts)
