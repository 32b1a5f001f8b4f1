"""Find out what a shipped project needs by starting it with nothing else, again and again until it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from filiera.errors import ProjectError
from filiera.project.config import PROFILE_VARIABLE
from filiera.project.shipping.locks import Lock, owners_of

Calls = Mapping[str, Sequence[str]]
"""By what is served, the paths at which it is called."""

_START = "import sys; sys.path[:0] = [{!r}]; from filiera.project.shipping.rehearsal import main; sys.exit(main())"
_LONGEST_WHY = 2000


def rehearse(
    root: Path, served: Sequence[str], *, roots: Iterable[str], lock: Callable[[set[str]], Lock]
) -> tuple[Lock, Calls]:
    """Return the lock with which a project starts, and where what it serves is called.

    A module that turns out to be missing brings the distribution that it is of, with all that this needs. Libraries
    that are used only if they are there stay away.

    Args:
        root: The project as it will be shipped, with a store that may be written.
        served: As ``filiera serve`` takes it.
        roots: Distributions that are needed in any case.
        lock: Returns the lock of some distributions.

    Raises:
        ProjectError: It does not start.
    """
    needed = set(roots)
    while True:
        locked = lock(needed)
        answer = _started(root, served, locked.names)
        if "calls" in answer:
            return locked, answer["calls"]
        owners = owners_of([answer["missing"]]) if answer["missing"] else set()
        if owners <= needed:
            absent = "Commit all that it needs, and install what it imports as packages: nothing else is shipped."
            raise ProjectError(
                f"It does not start from what would be shipped: {answer['what']}",
                why=answer["why"],
                do=absent if answer["missing"] else answer["do"],
            )
        needed |= owners


def _started(root: Path, served: Sequence[str], distributions: Iterable[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="filiera-ship-") as folder:
        _link(distributions, Path(folder))
        words = [sys.executable, "-I", "-S", "-B", "-c", _START.format(folder), json.dumps({"served": list(served)})]
        done = subprocess.run(
            words,
            cwd=root,
            env={name: value for name, value in os.environ.items() if name != PROFILE_VARIABLE},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode == 0 and done.stdout:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer
    why = done.stderr.strip()[-_LONGEST_WHY:] or f"It ended with {done.returncode}."
    return {"what": "its process ended.", "why": why, "do": "", "missing": ""}


def _link(distributions: Iterable[str], folder: Path) -> None:
    """Make a folder that has these distributions, and no others, by links to where they are installed."""
    (folder / "filiera").symlink_to(Path(__file__).parents[2])
    for name in distributions:
        found = metadata.distribution(name)
        tops = {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            place, link = Path(str(found.locate_file(top))), folder / top
            if not link.is_symlink() and place.exists():
                link.symlink_to(place)
