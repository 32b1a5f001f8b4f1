"""Which files of a folder are new or changed, and written to the end."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from filiera.core.value import dataclass

Looks = Mapping[str, str]
"""By path relative to the project: what a file looked like."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What a look at a folder has found."""

    ready: Looks  #: new and changed files that stay as they are
    gone: list[str]  #: files that were known and are there no more


def look(root: Path, pattern: str) -> dict[str, str]:
    """Return what each file looks like that *pattern* matches, relative to *root*; folders and hidden files are not.

    Raises:
        OSError: The project's folder cannot be read.
    """
    found: dict[str, str] = {}
    for path in glob.iglob(pattern, root_dir=root, recursive=True):  # noqa: PTH207  as below
        try:
            status = os.stat(root / path)  # noqa: PTH116  a path for each costs more than the call
        except OSError:  # it has gone meanwhile, or is not for us
            continue
        if stat.S_ISREG(status.st_mode):
            found[path] = f"{status.st_mtime_ns}:{status.st_size}:{status.st_ino}"
    return found


def changes(known: Looks, before: Looks, now: Looks) -> Changes:
    """Return what is to be done after a look.

    Args:
        known: How files looked when they were handed on.
        before: The look before this one. A file that looks different now is still being written.
        now: This look.

    >>> changes({"a": "1"}, {"a": "1", "b": "1"}, {"a": "2", "b": "1", "c": "1"})
    Changes(ready={'b': '1'}, gone=[])
    """
    ready = {path: seen for path, seen in now.items() if known.get(path) != seen and before.get(path) == seen}
    return Changes(ready=ready, gone=[path for path in known if path not in now])
