"""Why git did not do what it was asked, in our words."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from filiera.adapters.local_disk import full_disk
from filiera.errors import FilieraError, ProjectError

_FULL = re.compile("No space left on device|Out of diskspace|quota exceeded", re.IGNORECASE)
_UNWRITTEN = re.compile("(unable to|could not|couldn't|cannot|failed to) (write|create)|write error")
_LEAST_VERSION = (2, 38)  # merge-tree --write-tree, cat-file -z
_LITTLE_BYTES = 1024 * 1024
"""So little is left of a disk that was full: git has removed again what it could not end."""


def git_failure(words: Sequence[str], folder: Path, done: subprocess.CompletedProcess[str]) -> FilieraError:
    """Return the error for a git command that failed: StoreFull when no space is left, else ProjectError.

    Raises ProjectError when git is too old for what it was asked.

    Git does not always say why it could not write; then the disks say how much space they have.
    """
    require_version()
    said = (done.stderr or done.stdout).strip()
    places = [folder, *(Path(word).parent for word in words if word.startswith("/"))]
    if _FULL.search(said) or (_UNWRITTEN.search(said) and _free_bytes(places) < _LITTLE_BYTES):
        return full_disk(folder, f"git {words[0]}: {said.splitlines()[-1]}")
    return ProjectError(
        f"git {' '.join(words[:2])} failed in {folder}.", why=said or f"It ended with {done.returncode}."
    )


def require_version() -> None:
    """Refuse a git that is too old; asked where it does not do what it should. Raises ProjectError."""
    text = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout.split()[2]
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if numbers < _LEAST_VERSION:
        least = ".".join(map(str, _LEAST_VERSION))
        raise ProjectError(f"git {text} is too old for experiments.", why=f"They need {least} or newer.")


def _free_bytes(places: Iterable[Path]) -> int:
    return min(shutil.disk_usage(place).free for place in places if place.exists())
