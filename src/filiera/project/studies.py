"""The studies of recorded runs: those that ended, and those that go on or were killed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from filiera.engine.rows import read_refs
from filiera.errors import FilieraError, UsageError
from filiera.ports import Row
from filiera.project.project import Project

if TYPE_CHECKING:
    from filiera.model.study import Study


def find_study(project: Project, run: Row, step: str) -> tuple[str, Study]:
    """Return the name of the step that is a study, and the study as it is now.

    Args:
        project: Whose run it is.
        run: Its record.
        step: Which step; "": the only one that is a study.

    Raises:
        UsageError: There is none, or there are several.
        StoreError, CodecError: It cannot be read.
    """
    found = []
    for row in project.records.read("steps_of_stage", {"run_id": run["run_id"], "stage": "tune"}):
        if step in ("", row["step"]):
            study = _study(project, run, row)
            if study is not None:
                found.append((row["step"], study))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(name for name, _ in found)
        do = f"filiera study {run['run_id']}/{found[0][0]}"
        raise UsageError(f"Run {run['run_id']} has several studies: {names}.", do=do)
    what = f"Step {step} of run {run['run_id']} is no study" if step else f"Run {run['run_id']} has no study"
    raise UsageError(f"{what}.", do="best, study = tune(objective, Space, Search(trials=50)) in a pipeline.")


def _study(project: Project, run: Row, row: Row) -> Study | None:
    from filiera.model.study import Study, find_notes, study_of

    with suppress(FilieraError):  # its parameters may be of classes of the project
        project.pipeline(run["pipeline"])
    if row["outputs"]:
        values = (project.value(ref) for ref in read_refs(row["outputs"], project.versions.inline)[-1:])
        return next((value for value in values if isinstance(value, Study)), None)
    notes = find_notes(project.store / "studies", run["run_id"], row["step"])
    return study_of(notes) if notes else None
