"""What accepting an experiment has yet to do once its target has moved: written before, so that it can be ended."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, field
from pathlib import Path

from filiera.adapters.git_repository import NONE, RefChange
from filiera.adapters.local_disk import disk_errors, sync_folder
from filiera.core.products import OF_EXPERIMENT, ProductRef
from filiera.core.value import dataclass
from filiera.errors import FilieraError, ProjectError, StoreBusy
from filiera.experiments.carrying import Carried, bring_up_to_date, entries
from filiera.experiments.dropping import put_away
from filiera.experiments.moving import Move, take_back
from filiera.experiments.names import branch_of
from filiera.experiments.place import Place
from filiera.project import audit
from filiera.project.versions import Made, Version

_FILE = "accept.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An acceptance that has been decided."""

    name: str
    target: str  #: the branch that moves
    old: str  #: from this commit
    new: str  #: to this one
    published: tuple[str, ...]  #: versions of the experiment that become the project's, datasets first
    archive: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    """Experiments that go into the archive: name → reference, commit that is kept, commit that the branch is at."""
    carried: Mapping[str, Carried] = field(default_factory=dict)
    """Files that were changed in the target's folder as the experiment has them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """What an acceptance came to."""

    published: tuple[Version, ...]
    archived: tuple[str, ...]
    left: Mapping[str, str]  #: experiments that were to go and stay: why
    carried: tuple[str, ...] = ()  #: files that were changed in the target's folder, as the experiment has them


def write(place: Place, entry: Entry) -> None:
    """Write an entry down so that it survives a power cut. Raises StoreError."""
    file = _file(place)
    beside = file.with_suffix(".new")
    with disk_errors(file):
        with beside.open("w") as out:
            json.dump(asdict(entry), out)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(file)
        sync_folder(file.parent, os.fsync)


def read(place: Place) -> Entry | None:
    """Return the entry that is written down, or None. Raises ProjectError when it is damaged."""
    try:
        told = json.loads(_file(place).read_text())
        archive = {name: tuple(three) for name, three in told.pop("archive").items()}
        carried = {name: Carried(**each) for name, each in told.pop("carried").items()}
        return Entry(**{**told, "published": tuple(told["published"])}, archive=archive, carried=carried)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ProjectError(f"{_file(place)} is damaged: {error}.", do="Remove it, and accept again.") from error


def clear(place: Place) -> None:
    """Forget the entry."""
    _file(place).unlink(missing_ok=True)


def recover(place: Place) -> str:
    """End what an acceptance that was killed has begun, or forget it; return which, in words, or ''.

    It counts as decided when its target has the new commit. The caller has the lease of ``.accept``.
    """
    entry = read(place)
    if entry is None:
        return ""
    contains = place.repository.git("branch", "--contains", entry.new, "--format=%(refname)", check=False)
    if entry.target not in contains.splitlines():
        take_back(place, Move(branch=entry.target, old=entry.old, new=entry.new, own=entries(entry.carried)))
        clear(place)
        return f"accepting {entry.name} was not decided yet: nothing was done"
    finish(place, entry)
    return f"ended accepting {entry.name}"


def finish(place: Place, entry: Entry) -> Finished:
    """Publish, tag, archive, and forget the entry; what is done already is not done again."""
    folder = place.repository.folder_of(entry.target) if entry.carried else None
    if folder is not None:
        bring_up_to_date(place, folder, entry.new, entry.carried)
    published = _publish(place, entry)
    tags = [f"refs/tags/{each.kind}/{each.name}@v{each.number}" for each in published]
    gone, left = [], {}
    with ExitStack() as leases:
        for name in entry.archive:
            try:
                if name != entry.name:
                    leases.enter_context(place.lease(name))
                gone.append(name)
            except StoreBusy as error:
                left[name] = _line(error)
        asked = [ref for name in gone for ref in (branch_of(name), entry.archive[name][0])]
        refs = place.repository.refs(*asked, *tags)
        for name, (_, _, tip) in entry.archive.items():
            if name in gone and refs.get(branch_of(name), tip) != tip:
                gone.remove(name)
                left[name] = f"exp/{name} has new commits."
        changes = [change for name in gone for change in _archiving(entry, name, refs)]
        changes += [RefChange(tag, entry.new, NONE) for tag in tags if tag not in refs]
        if changes:
            place.repository.update(changes, f"filiera: accept {entry.name}")
        for name in gone:
            try:
                put_away(place, name)
            except ProjectError as error:  # its folder is on another branch
                left[name] = _line(error)
    detail = {"commit": entry.new, "target": entry.target}
    noted = audit.entry("accept", f"exp/{entry.name}", at=place.project.clock(), detail=detail)
    place.project.records.write([noted], durable=True)
    clear(place)
    return Finished(published=published, archived=tuple(gone), left=left, carried=tuple(entry.carried))


def _publish(place: Place, entry: Entry) -> tuple[Version, ...]:
    """Make versions of the experiment the project's own; later ones name earlier ones as they are called now."""
    versions = place.project.versions
    names: dict[str, str] = {}
    found = []
    for text in entry.published:
        ref = ProductRef.parse(text)
        own = versions.get(versions.kind_of(ref.name), ref)
        made = Made(
            artifact=own.artifact,
            description=own.description,
            inputs={name: names.get(made_of, made_of) for name, made_of in own.inputs.items()},
            attachments=own.attachments,
        )
        name = own.name.partition(OF_EXPERIMENT)[0]
        version, _ = versions.publish(own.kind, name, run_id=own.run_id, at=place.project.clock(), made=made)
        names[own.ref] = version.ref
        found.append(version)
    return tuple(found)


def _archiving(entry: Entry, name: str, refs: Mapping[str, str]) -> list[RefChange]:
    """Return what moves an experiment into the archive, but for what has been done already."""
    ref, kept, tip = entry.archive[name]
    changes = [] if ref in refs else [RefChange(ref, kept, NONE)]
    return changes + ([RefChange(branch_of(name), NONE, tip)] if branch_of(name) in refs else [])


def _line(error: FilieraError) -> str:
    return f"{error.what} {error.why}".strip()


def _file(place: Place) -> Path:
    place.folder.mkdir(parents=True, exist_ok=True)
    return place.folder / _FILE
