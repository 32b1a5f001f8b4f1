"""Which installed distribution a module comes from, and its version.

``importlib.metadata`` costs 15 ms to import and parses whole descriptions; the names of the folders next to the
packages (``polars-2.1.0.dist-info``) say the same. They are listed once per process and folder.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from filiera.core.value import dataclass

_OTHER_NAMES = {
    "attr": "attrs",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


@dataclass(frozen=True, slots=True)
class _Installed:
    name: str  #: normalised: lower case, single dashes
    version: str
    folder: str  #: where its records are

    def provides(self, top: str) -> bool:
        """Tell whether the top-level module *top*, or a part of it, is among its files."""
        record = b"\n" + _content(self.folder, "RECORD")
        if record == b"\n":
            return top in _content(self.folder, "top_level.txt").decode().split() or _normalised(top) == self.name
        return b"\n%b/" % top.encode() in record or b"\n%b." % top.encode() in record

    def provides_all_of(self, top: str) -> bool:
        """Tell whether no other distribution can add to *top*: it is a module or a package with an ``__init__``."""
        record = b"\n" + _content(self.folder, "RECORD")
        return b"\n%b/__init__." % top.encode() in record or b"\n%b." % top.encode() in record

    def is_editable(self) -> bool:
        """Tell whether it only points at a working copy, whose code changes under the same version."""
        return bool(self._origin().get("dir_info", {}).get("editable"))

    def as_requirement(self) -> str:
        """Return the line of a requirements file that asks for exactly this."""
        origin = self._origin()
        if self.is_editable():
            return f"# {self.name}=={self.version} is a working copy: {origin.get('url', '')}"
        if "url" not in origin:
            return f"{self.name}=={self.version}"
        source = origin.get("vcs_info", {})
        address = f"{source['vcs']}+{origin['url']}@{source['commit_id']}" if source else origin["url"]
        return f"{self.name} @ {address}"

    def _origin(self) -> dict[str, Any]:
        """Return what the installer noted of an address; empty when it came from an index."""
        content = _content(self.folder, "direct_url.json")
        try:
            found: dict[str, Any] = json.loads(content) if content else {}
        except ValueError:  # not ours to judge: the version alone has to do
            return {}
        return found


def distribution_of(top_level_module: str) -> tuple[str, str] | None:
    """Return name and version of the distribution that *top_level_module* comes from, or None.

    None means that no version stands for the code: the module is not installed, or installed as editable. A namespace
    that several distributions share gives all their names and versions, joined by "+". Filiera itself always has one.

    >>> distribution_of("blake3")[0], distribution_of("no_such_module")
    ('blake3', None)
    """
    if top_level_module == "filiera":
        return "filiera", str(sys.modules["filiera"].__version__)
    return _distribution_of(top_level_module, tuple(sys.path))


def versions_in(path: Iterable[str]) -> list[str]:
    """Return the lock of what is installed in the folders of *path*: lines of a requirements file, sorted.

    ``name==version``; ``name @ address`` for what was installed from elsewhere than an index. What is installed as
    editable is a comment: its code changes under the same version.

    >>> [line for line in versions_in(sys.path) if line.startswith("blake3==")] != []
    True
    """
    return sorted(found.as_requirement() for found in _installed(tuple(path)).values())


@cache
def _distribution_of(top: str, path: tuple[str, ...]) -> tuple[str, str] | None:
    installed = _installed(path)
    guess = installed.get(_normalised(top)) or installed.get(_OTHER_NAMES.get(top, ""))
    if guess is not None and guess.provides_all_of(top):
        providers = [guess]
    else:
        providers = [found for _, found in sorted(installed.items()) if found.provides(top)]
    if not providers or any(found.is_editable() for found in providers):
        return None
    return "+".join(found.name for found in providers), "+".join(found.version for found in providers)


@cache
def _installed(path: tuple[str, ...]) -> dict[str, _Installed]:
    found: dict[str, _Installed] = {}
    for folder in path:
        for distribution in _installed_in(folder):
            found.setdefault(distribution.name, distribution)
    return found


@cache
def _installed_in(folder: str) -> list[_Installed]:
    try:
        entries = os.listdir(folder or ".")  # noqa: PTH208 (half the time of Path.iterdir, and start-up is a feature)
    except OSError:
        return []  # sys.path may name zip archives and folders that do not exist
    found = []
    for entry in sorted(entries):
        stem, _, kind = entry.rpartition(".")
        if kind in ("dist-info", "egg-info") and "-" in stem:
            name, version = stem.split("-")[:2]
            found.append(_Installed(_normalised(name), version, f"{folder or '.'}/{entry}"))
    return found


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _content(folder: str, file: str) -> bytes:
    try:
        return Path(folder, file).read_bytes()
    except OSError:
        return b""
