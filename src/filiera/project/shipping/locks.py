"""The lock of what is shipped: the distributions that it needs, in the versions that are installed here."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from filiera.core.distributions import versions_in
from filiera.core.value import dataclass
from filiera.errors import ProjectError, UsageError
from filiera.project.requirements import logical_lines

_LINE = re.compile(r"(?:# )?(?P<name>[a-z0-9-]+)(?:==(?P<version>\S+)| @ (?P<address>\S+))")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """What has to be installed."""

    names: tuple[str, ...]  #: of the distributions, sorted
    lines: tuple[str, ...]  #: of a requirements file, one each; nothing else is needed
    wheels: tuple[Path, ...]  #: files that come along, for what no index has

    @property
    def is_whole(self) -> bool:
        """Tell whether all of it comes along, so that no index is asked."""
        return len({_wheel(wheel) for wheel in self.wheels}) == len(self.lines)


def lock(roots: Iterable[str], wheels: Path | None) -> Lock:
    """Return the lock of some distributions and all that they need, as installed here.

    Args:
        roots: Names, perhaps with extras: ``filiera[serve]``.
        wheels: A folder; what it has in the same version comes along.

    Raises:
        ProjectError: One of them is a working copy or a local file, and there is no wheel of it.
        UsageError: There is no such folder.
    """
    given = _wheels_in(wheels)
    known = {found["name"]: line for line in versions_in(sys.path) if (found := _LINE.match(line))}
    names = sorted(_needed(roots) & known.keys())
    lines: list[str] = []
    along: list[Path] = []
    for name in names:
        line, version = known[name], metadata.version(name)
        files = given.get((name, str(Version(version)))) or _local_wheel(line)
        if files:
            lines.append(f"{name}=={version}")
            along += files
        elif line.startswith("#") or " @ file:" in line:
            raise _not_installable(name, version, line)
        else:
            lines.append(line)
    return Lock(names=tuple(names), lines=tuple(lines), wheels=tuple(along))


def owners_of(modules: Iterable[str]) -> set[str]:
    """Return the distributions that top-level modules come from; of one that none provides, nothing."""
    providers = metadata.packages_distributions()
    return {str(canonicalize_name(owner)) for module in modules for owner in providers.get(module, ())}


def asked_for(file: Path) -> set[str]:
    """Return the distributions that a requirements file names and that are here; of no file, none."""
    if not file.is_file():
        return set()
    found = set()
    for line in logical_lines(file.read_text(encoding="utf-8-sig", errors="replace")):
        try:
            requirement = Requirement(line.partition(" --")[0])
        except InvalidRequirement:  # an option, or an address: the lock has what is installed
            continue
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        found.add(f"{requirement.name}{extras}")
    return found


def _needed(roots: Iterable[str]) -> set[str]:
    """Return the names of *roots* and of all that they need on this machine."""
    waiting = [Requirement(root) for root in roots]
    seen: set[tuple[str, str]] = set()
    while waiting:
        asked = waiting.pop()
        name = str(canonicalize_name(asked.name))
        for extra in {"", *asked.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += _needs(name, extra)
    return {name for name, _ in seen}


def _needs(name: str, extra: str) -> list[Requirement]:
    try:
        texts = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []  # it is not here either
    found = map(Requirement, texts)
    return [need for need in found if need.marker is None or need.marker.evaluate({"extra": extra})]


def _wheels_in(folder: Path | None) -> Mapping[tuple[str, str], list[Path]]:
    if folder is None:
        return {}
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.", do="Name one with wheels, as pip wheel makes them.")
    found: dict[tuple[str, str], list[Path]] = {}
    for file in sorted(folder.glob("*.whl")):
        key = _wheel(file)
        if key is not None:
            found.setdefault(key, []).append(file)
    return found


def _wheel(file: Path) -> tuple[str, str] | None:
    try:
        name, version, *_ = parse_wheel_filename(file.name)
    except (InvalidWheelFilename, InvalidVersion):
        return None
    return str(name), str(version)


def _local_wheel(line: str) -> Collection[Path]:
    """Return the wheel that a distribution was installed from, if it still is there."""
    _, _, address = line.partition(" @ ")
    place = Path(unquote(urlsplit(address).path)) if address.startswith("file:") else None
    return [place] if place is not None and place.suffix == ".whl" and place.is_file() else []


def _not_installable(name: str, version: str, line: str) -> ProjectError:
    place = line.rpartition(" ")[2]
    return ProjectError(
        f"{name} {version} cannot be installed elsewhere.",
        why=f"Here it is installed from {place}, which other machines do not have.",
        do=f"pip wheel --no-deps --wheel-dir wheels {urlsplit(place).path or name}, then ship with --wheels wheels",
    )
