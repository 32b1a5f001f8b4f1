"""Where the running process finds its project: set once by whoever composes it, the driver or a worker."""

from __future__ import annotations

from pathlib import Path

_root: list[Path] = []


def set_project_root(root: Path) -> None:
    """Say which project this process works for."""
    _root[:] = [root]


def project_root() -> Path:
    """Return the project's folder; the current folder when nobody has said."""
    return _root[0] if _root else Path.cwd()
