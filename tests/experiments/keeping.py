"""What must be so of experiments whatever was done: what somebody wrote is somewhere, records have what they name."""

from __future__ import annotations

import hashlib
from pathlib import Path

from filiera.core.products import ProductRef
from filiera.experiments.dropping import drop, restore
from filiera.experiments.place import Place
from filiera.experiments.records import RunRecord, records_at, start_in
from filiera.experiments.starting import start
from tests.crash.soundness import check_held
from tests.experiments.lab import Lab, state_of


def blob(content: bytes) -> str:
    """Return what git calls a content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def kept(lab: Lab) -> set[str]:
    """Return all contents that are in a working tree or index, or reachable: from branches, archive, stash, HEADs."""
    listed = lab.git("rev-list", "--objects", "--all", "--indexed-objects", "--no-object-names")
    lines = lab.git("worktree", "list", "--porcelain").splitlines()
    folders = [Path(line[9:]) for line in lines if line.startswith("worktree ")]
    return {*listed.split(), *(blob(file.read_bytes()) for folder in folders for file in files_in(folder))}


def files_in(folder: Path) -> list[Path]:
    """Return the files of a worktree that are its user's."""
    own = {".git", ".filiera", "__pycache__"}
    return [file for file in folder.rglob("*") if not own & set(file.relative_to(folder).parts) and file.is_file()]


def check_kept(lab: Lab, written: dict[str, str]) -> None:
    """Assert that every content that was written is somewhere; *written* says of each where that was."""
    found = kept(lab)
    assert not {what: where for what, where in written.items() if what not in found}


def check_records(lab: Lab) -> None:
    """Assert that live and dropped experiments are complete: how each began, and the artifacts of what it published."""
    place = lab.place()
    try:
        for runs in _runs(place).values():
            for run in runs:
                if run.published:
                    ref = ProductRef.parse(run.published)
                    version = place.project.versions.get(place.project.versions.kind_of(ref.name), ref)
                    assert version.artifact.digest == run.artifact
                    check_held(place.project, (version.artifact, *version.attachments.values()))
    finally:
        place.project.close()


def check_works(lab: Lab) -> None:
    """Assert that an experiment with a new file can be started, run, dropped and restored."""
    before = state_of(lab)
    folder = start(lab.place(), "odd").worktree
    (folder / "idea.md").write_text("an idea\n")
    assert lab.try_out("odd", "count").record is not None
    drop(lab.place(), "odd")
    assert (restore(lab.place(), "odd") / "idea.md").exists()
    assert state_of(lab) == before


def _runs(place: Place) -> dict[str, list[RunRecord]]:
    found = {}
    for name, commit in place.branches().items():
        found[name] = _of(place, name, commit)
    for name, refs in place.archived().items():
        for ref, commit in refs.items():
            found[ref] = _of(place, name, commit)
    return found


def _of(place: Place, name: str, commit: str) -> list[RunRecord]:
    records = records_at(place.repository, {name: commit}, place.prefix)[name]
    assert start_in(records) is not None, name
    return [each for each in records if isinstance(each, RunRecord)]
