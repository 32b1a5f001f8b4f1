"""Letting dropped experiments go for good, when nobody has missed them for a while: ``filiera experiment gc``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack

from filiera.adapters.git_repository import NONE, RefChange
from filiera.core.artifact import ArtifactRef
from filiera.core.products import OF_EXPERIMENT
from filiera.core.value import dataclass
from filiera.errors import StoreBusy
from filiera.experiments.names import ARCHIVE, BRANCHES, time_of
from filiera.experiments.place import Place
from filiera.project.upkeep.garbage import drop_product
from filiera.project.upkeep.old_versions import all_versions
from filiera.project.versions import Version


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleared:
    """What was let go of, or would be."""

    refs: Mapping[str, str]  #: reference in the archive → commit
    kept: Mapping[str, str]  #: references that are old enough and stay → the version that needs them
    versions: tuple[Version, ...]  #: of experiments of which nothing is left
    size_bytes: int  #: of the artifacts that only these versions have; ``filiera gc`` frees them


def clear(place: Place, *, grace_s: float, dry_run: bool = False) -> Cleared:
    """Remove what has been in the archive for longer than the grace, and the versions of those it had nothing else of.

    What a version that stays needs stays: the commit that its run had, which proving it checks out, and the versions
    that the run consumed. Values go with the next ``filiera gc``.

    Args:
        place: Where.
        grace_s: How long, in seconds.
        dry_run: Change nothing.

    Raises:
        StoreBusy: Another process keeps house in the store.
    """
    with ExitStack() as leases:
        busy = set()
        for name in place.archived() if not dry_run else ():
            try:
                leases.enter_context(place.lease(name))
            except StoreBusy:
                busy.add(name)
        look = _Look(place, place.project.clock() - grace_s, busy)
        look.settle()
        gone = look.gone()
        going = [version for version in look.versions if _experiment(version) in gone]
        if not dry_run:
            changes = [RefChange(ref, NONE, commit) for ref, commit in look.going.items()]
            if changes:
                place.repository.update(changes, "filiera: experiment gc")
            for kind, name in dict.fromkeys((version.kind, version.name) for version in going):
                drop_product(place.project, kind, name)
        staying = {ref.digest for version in look.versions if version not in going for ref in _artifacts(version)}
        sizes = {ref.digest: ref.size_bytes for version in going for ref in _artifacts(version)}
        size_bytes = sum(size for digest, size in sizes.items() if digest not in staying)
        return Cleared(refs=look.going, kept=look.kept, versions=tuple(going), size_bytes=size_bytes)


class _Look:
    """Finds out what may go."""

    def __init__(self, place: Place, before: float, busy: set[str]) -> None:
        self._place = place
        self._before = before
        self._archived = place.archived()
        self._held = busy | set(place.branches()) | _pulled(place)  #: experiments that stay
        self.versions = list(all_versions(place.project))
        self.kept: dict[str, str] = {}
        refs = {ref: commit for name in self._archived.keys() - busy for ref, commit in self._archived[name].items()}
        self.going = {ref: commit for ref, commit in refs.items() if (_dropped_at(ref) or before) < before}

    def settle(self) -> None:
        """Keep what staying versions need, until nothing that stays needs anything that goes."""
        while True:
            held, needed = len(self._held), dict(self._needed())
            self.kept |= needed
            for ref in needed:
                del self.going[ref]
            if not needed and held == len(self._held):
                return

    def gone(self) -> set[str]:
        """Return the experiments of which neither a branch nor anything in the archive stays."""
        left = {name for name, refs in self._archived.items() if refs.keys() - self.going.keys()}
        young = {_experiment(version) for version in self.versions if version.created_at >= self._before}
        orphans = {_experiment(version) for version in self.versions} - self._archived.keys() - young
        return ((self._archived.keys() | orphans) - left - self._held) - {""}

    def _needed(self) -> Iterator[tuple[str, str]]:
        """Yield references that go, though a version that stays needs them, with that version."""
        gone = self.gone()
        staying = [version for version in self.versions if _experiment(version) not in gone]
        lost = self._lost()
        for version in staying:
            commit, consumed = self._run(version)
            for name in _experiments_in([*version.inputs.values(), *consumed]) & gone:
                self._held.add(name)
                yield from ((ref, version.ref) for ref in self._archived.get(name, {}) if ref in self.going)
            if commit in lost:
                yield from ((ref, version.ref) for ref in self._containing(commit))

    def _lost(self) -> set[str]:
        """Return the commits that nothing would reach."""
        if not self.going:
            return set()
        others = [commit for refs in self._archived.values() for ref, commit in refs.items() if ref not in self.going]
        given = "\n".join([*self.going.values(), *(f"^{commit}" for commit in others)])
        words = ("rev-list", "--stdin", "--not", "--branches", "--tags", "--remotes")
        return set(self._place.repository.git(*words, given=given.encode()).split())

    def _containing(self, commit: str) -> list[str]:
        listed = self._place.repository.git("for-each-ref", f"--contains={commit}", "--format=%(refname)", ARCHIVE)
        return [ref for ref in listed.splitlines() if ref in self.going]

    def _run(self, version: Version) -> tuple[str, list[str]]:
        """Return the commit that the run of a version had, and what it consumed."""
        rows = self._place.project.records.read("get_run", {"run_id": version.run_id})
        record = json.loads(rows[0]["record"]) if rows else {}
        return str(record.get("commit", "")), list(record.get("inputs", {}).values())


def _experiment(version: Version) -> str:
    """Return the experiment that has published a version, or ''."""
    return version.name.partition(OF_EXPERIMENT)[2]


def _experiments_in(inputs: Iterable[str]) -> set[str]:
    refs = (ref for text in inputs for ref in text.split(", "))
    return {ref.partition(OF_EXPERIMENT)[2].partition("@")[0] for ref in refs if OF_EXPERIMENT in ref and "@" in ref}


def _artifacts(version: Version) -> tuple[ArtifactRef, ...]:
    return version.artifact, *version.attachments.values()


def _dropped_at(ref: str) -> float | None:
    return time_of(ref.rpartition("/")[2])


def _pulled(place: Place) -> set[str]:
    """Return the experiments that other repositories had when they were last looked at."""
    found = place.repository.refs("refs/remotes")
    of = BRANCHES.removeprefix("refs/heads/")
    return {ref.partition(f"/{of}")[2] for ref in found if f"/{of}" in ref}
