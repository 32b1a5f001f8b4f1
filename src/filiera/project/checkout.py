"""Which folder a project's code is read from: its own, or the worktree of an experiment."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from filiera.core.products import OF_EXPERIMENT
from filiera.core.value import dataclass
from filiera.errors import ProjectError, SourceError

MARKER = "filiera.json"
"""The file, among those that git keeps of a worktree, that says which experiment it is for, and where its store is."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class Scope:
    """An experiment, as runs of its code see it.

    What it publishes is called ``NAME~EXPERIMENT`` and counts its own versions. ``NAME@latest`` means the newest of
    these, or, while there is none, the version that was the newest when the experiment began.
    """

    name: str
    pins: Mapping[str, int] = field(default_factory=dict)  #: dataset → number of the version that it began with

    def own(self, product: str) -> str:
        """Return what a product is called that the experiment publishes.

        >>> Scope("deeper").own("flows")
        'flows~deeper'
        """
        return product if OF_EXPERIMENT in product else f"{product}{OF_EXPERIMENT}{self.name}"


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where a project's files are."""

    root: Path  #: the project's folder, here
    home: Path  #: its folder in the main worktree, where the store and files that git does not keep are
    scope: Scope | None = None  #: None: this is no experiment's worktree


def checkout_of(root: Path) -> Checkout:
    """Return what kind of folder a project's code lies in. Raises ProjectError for a damaged experiment."""
    top = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)
    if top is None or not (top / ".git").is_file():
        return Checkout(root, root)
    folder = git_folder(top)
    try:
        text = (folder / MARKER).read_text()
    except OSError:
        return Checkout(root, root)
    try:
        told = json.loads(text)
        scope = Scope(told["experiment"], {name: int(number) for name, number in told["pins"].items()})
        home = Path(told["home"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProjectError(
            f"{folder / MARKER} is damaged.",
            why="It says which experiment a worktree is for.",
            do="filiera experiment doctor",
        ) from error
    return Checkout(root, home, scope)


def git_folder(top: Path) -> Path:
    """Return where git keeps what it knows of a worktree."""
    text = (top / ".git").read_text().strip()
    return (top / text.removeprefix("gitdir:").strip()).resolve()


def source_root(entry: Mapping[str, Any], root: Path) -> Path:
    """Return what the paths of a catalog entry are relative to: *root*, or the project's own folder.

    An experiment's worktree has the files that git keeps. Others, such as data that are ignored, are where they were.

    Raises:
        SourceError: Git keeps the file, and the worktree does without it.
    """
    home = checkout_of(root).home
    if home == root:
        return root
    text = str(entry.get("path") or str(entry.get("uri", "")).partition(":")[2])
    if not text or _ADDRESS.match(text) or Path(text).is_absolute() or text.startswith("~"):
        return root
    import glob

    if (root / text).is_file():
        return root
    _require_not_left_out(root, text)
    is_here = (root / text).exists() or any(glob.iglob(str(root / text), recursive=True))  # noqa: PTH207
    return root if is_here else home


def _require_not_left_out(root: Path, text: str) -> None:
    """Refuse where some of the files are in the commit and left out here: there would be fewer, or others elsewhere."""
    top = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)
    if not (git_folder(top) / "info" / "sparse-checkout").exists():
        return
    from filiera.project.plugins import code_history

    if code_history(root, root).leaves_out(text):
        folder = Path(os.path.normpath(root / text)).parent
        while not folder.is_relative_to(top) or any(sign in str(folder) for sign in "*?["):
            folder = folder.parent
        raise SourceError(
            f"{top} does without files of {text}.",
            why="They are in its commit, and it is a sparse checkout: experiment start --only.",
            do=f"git -C {top} sparse-checkout add {folder.relative_to(top)}",
        )
