"""The environments of steps that have one of their own: named by what their requirements file asks for."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filiera.adapters import virtual_environments
from filiera.core.digest import digest
from filiera.core.value import dataclass
from filiera.errors import ProjectError
from filiera.project.requirements import Stamp, read_requirements, stamp
from filiera.project.worker import PATH_VARIABLE

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Named:
    """The digest that a file had when all that it names looked like this."""

    digest: str
    files: Mapping[Path, Stamp]


class Environments:
    """The environments of a project's steps, kept in its store as ``environments/DIGEST``."""

    def __init__(self, store: Path, root: Path) -> None:
        self._store, self._root = store, root
        self._folder = store / "environments"
        self._named: dict[str, _Named] = {}
        self._files: dict[str, str] = {}  #: digest → file

    def digest_of(self, file: str) -> str:
        """Return what names the environment of a requirements file: its lines, this Python, this kind of machine.

        Args:
            file: Relative to the project. Read again only when it, or a file that it names, has changed.

        Raises:
            ProjectError: It cannot be read, or asks for something whose content no line tells.
        """
        known = self._named.get(file)
        if known is None or any(stamp(path) != then for path, then in known.files.items()):
            found = read_requirements(self._root / file)
            lines = [line.encode() for line in found.lines]
            known = self._named[file] = _Named(digest("environment/1", *_machine(), *lines), found.files)
            self._files[known.digest] = file
        return known.digest

    def ready(self, file: str, *, tell: Tell | None = None) -> Path:
        """Return the Python of a file's environment, which is made first when it is not there.

        Args:
            file: Relative to the project.
            tell: Told line by line what goes on while it is made.

        Raises:
            ProjectError: What the file asks for cannot be installed.
            StoreError: The store cannot be written.
        """
        folder = self._folder / self.digest_of(file)
        if not virtual_environments.is_finished(folder):
            virtual_environments.make(folder, self._root / file, tell=tell or _say_nothing)
        return virtual_environments.python_of(folder)

    def is_ready(self, file: str) -> bool:
        """Tell whether a file's environment has been made."""
        return virtual_environments.is_finished(self._folder / self.digest_of(file))

    def installed(self, file: str) -> list[str]:
        """Return ``name==version`` of what is in a file's environment, sorted; empty while it is not made."""
        return virtual_environments.installed(self._folder / self.digest_of(file))

    def command_for(self, env: str, *, tell: Tell | None = None) -> Sequence[str]:
        """Return the command that starts a worker process in the environment with this digest, made when needed.

        The process finds the environment, the project and Filiera, and nothing else of what this process has.

        Raises:
            ProjectError: Nobody asked for the digest of its file, the file has changed since, or see ``ready``.
            StoreError: The store cannot be written.
        """
        file = self._files.get(env, "")
        if not file or self.digest_of(file) != env:
            raise ProjectError(
                f"{file or 'The requirements file'} was changed while the run was going.",
                why="This step would run in another environment than the run was planned with.",
                do="filiera resume plans it again with the file as it is now; finished steps stay.",
            )
        python = self.ready(file, tell=tell)
        worker = [str(python), "-P", "-m", "filiera.project.worker", str(self._root), str(self._store)]
        return ["env", *self.variables(python), *worker]

    def variables(self, python: Path) -> list[str]:
        """Return options and assignments for the program ``env`` that make a process see only an environment."""
        folder = python.parent.parent
        assigned = {
            "PYTHONPATH": str(self._link_filiera(folder)),
            PATH_VARIABLE: os.pathsep.join(_own_places(self._root)),
            "VIRTUAL_ENV": str(folder),
            "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)]),
        }
        return ["-u", "PYTHONHOME", *(f"{name}={value}" for name, value in assigned.items())]

    def _link_filiera(self, folder: Path) -> Path:
        """Return a folder with links to this Filiera and what it needs: beside them in site-packages lies much else.

        Not installed into the environment: driver and worker must be the same Filiera, whichever project's turn it is.
        """
        linked = {"filiera": _place_of("filiera")}
        if not any(line.startswith("blake3==") for line in virtual_environments.installed(folder)):
            linked["blake3"] = _place_of("blake3")
        parts = [part for name, place in linked.items() for part in (name.encode(), os.fsencode(place))]
        final = self._folder / f"filiera-{digest('links/1', *parts)[:16]}"
        if not final.is_dir():
            partial = final.with_name(f"{final.name}.{os.getpid()}-{os.urandom(4).hex()}")
            partial.mkdir(parents=True)
            for name, place in linked.items():
                (partial / (name if place.is_dir() else place.name)).symlink_to(place)
            try:
                partial.rename(final)
            except OSError:  # another process was first
                for link in partial.iterdir():
                    link.unlink()
                partial.rmdir()
        return final


@functools.cache
def _machine() -> tuple[bytes, ...]:
    """Return what decides which builds of a distribution are taken."""
    python = f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}"
    try:
        library = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")[0]
    except (ValueError, OSError):
        library = ""
    return python.encode(), f"{sys.platform} {os.uname().machine} {library}".encode()


def _place_of(module: str) -> Path:
    """Return the folder of a package that is loaded, or the file of a module."""
    file = Path(str(sys.modules[module].__file__)).resolve()
    return file.parent if file.stem == "__init__" else file


def _own_places(root: Path) -> list[str]:
    """Return the project, and what of this process's import path lies below it without being installed there."""
    outside = {"site-packages", "dist-packages"}
    below = [
        place
        for place in map(Path, sys.path)
        if place.is_absolute() and place.is_relative_to(root) and not outside.intersection(place.parts)
    ]
    return list(dict.fromkeys(map(str, [root, *below])))


def _say_nothing(line: str) -> None:
    return
