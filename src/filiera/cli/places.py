"""What people name on the command line: a run, a step of one, a version."""

from __future__ import annotations

from filiera.core.products import CHAMPION, ProductRef
from filiera.errors import UsageError, did_you_mean
from filiera.ports import Row
from filiera.project.project import Project
from filiera.project.runs import get_run
from filiera.project.versions import Version

_LISTED = 100
"""An error names so many steps at most."""


def find_run(project: Project, text: str) -> tuple[Row, str]:
    """Return the run that *text* names, and the step after a slash or ''.

    *text* is a run, ``latest``, or a pipeline, which means its newest run; each perhaps followed by ``/STEP``.

    Raises:
        UsageError: There is no such run.
    """
    name, _, step = text.partition("/")
    rows = [] if name == "latest" else project.records.read("get_run", {"run_id": name})
    if not rows and name != "latest":
        rows = project.records.read("latest_run_of_pipeline", {"pipeline": name}) if name else []
    return (rows[0] if rows else get_run(project, name)), step


def find_step(project: Project, run: Row, step: str) -> Row:
    """Return the record of one step of a run. Raises UsageError with the steps there are."""
    rows = project.records.read("get_step_run", {"run_id": run["run_id"], "step": step})
    if rows:
        return rows[0]
    first = {"run_id": run["run_id"], "since": 0, "limit": _LISTED}
    names = [row["step"] for row in project.records.read("first_steps_of_run", first)]
    more = ", …" if len(names) == _LISTED else ""
    raise UsageError(
        f"Run {run['run_id']} has no record of a step {step!r}.",
        why=f"It has: {', '.join(names) or 'none yet'}{more}.{did_you_mean(step, names)}",
    )


def find_model(project: Project, text: str) -> Version:
    """Return the version of a model or service that *text* names; without ``@`` its champion. Raises UsageError."""
    return project.versions.resolve_served(ProductRef.parse(text, default=CHAMPION))


def find_version(project: Project, text: str, *, to_use: bool = False) -> Version:
    """Return the version of a dataset or model that *text* names, to be looked at, or *to_use* it.

    Raises:
        UsageError: There is none.
        Untrusted: It is to be used, and the project asks for a signature that it does not have.
    """
    ref = ProductRef.parse(text)
    find = project.versions.resolve if to_use else project.versions.get
    return find(project.versions.kind_of(ref.name), ref)


def find_named(project: Project, text: str) -> Version:
    """Return the version that *text* names, to be looked at; without ``@`` a model's champion. Raises UsageError."""
    return find_version(project, str(ProductRef.parse(text, default=CHAMPION)))
