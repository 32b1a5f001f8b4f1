"""What callers send to a model and get from it, beside what it was trained on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from filiera.core.value import dataclass
from filiera.errors import StoreBusy, UsageError
from filiera.ports import MetadataStore
from filiera.project import audit
from filiera.project.project import Project
from filiera.project.serving.predictions import Predictions
from filiera.project.versions import Version

if TYPE_CHECKING:
    from filiera.monitoring.findings import DriftReport
    from filiera.monitoring.window import Window


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitorVerdict:
    """What monitoring said of a version at some time."""

    name: str
    version: int
    at: float  #: seconds since the epoch, UTC
    verdict: str  #: "quiet", "drift" or "not enough data"
    summary: str  #: one line for people
    rows: int  #: predictions looked at
    first_at: float | None
    last_at: float | None
    by: str


def look(
    project: Project, version: Version, *, since: float | None = None, last: int | None = None
) -> tuple[DriftReport, Window]:
    """Return how the logged predictions of a version differ from its training data, and those predictions.

    The verdict is kept among the records: what it says of a version that is being deployed counts there.

    Args:
        project: Where they were logged.
        version: Of a model.
        since: Only predictions from then on, seconds since the epoch, UTC.
        last: Only so many, the latest.

    Raises:
        UsageError: *last* is below 1, or it is not known what the version was trained on.
        StoreError: The verdict cannot be kept.
    """
    from filiera.monitoring.drift import compare
    from filiera.monitoring.findings import DriftSettings
    from filiera.monitoring.window import Selection, collect

    require_reference(version)
    selection = Selection(model=version.name, version=version.number, since=since, last=last)
    signature, reference = (project.value(version.attachments[name]) for name in ("signature", "reference"))
    hidden = tuple(field.name for field in signature.inputs if field.sensitive)  # never logged, so never to be compared
    predictions = Predictions(project, version.name)
    with suppress(StoreBusy):  # then the next look, or clean-up, does it
        predictions.compact()
    with predictions.held() as found:
        tables, others = found.tables(version=version.number, since=since or 0.0)
        records = chain(found.read_parts(others, since=since or 0.0), found.read_segments(since=since or 0.0))
        window = collect(records, reference, selection=selection, tables=tables)
        skipped = replace(window.skipped, other_version=window.skipped.other_version + found.left_out(version.number))
        window = replace(window, skipped=skipped)
    settings = DriftSettings(ignore=hidden)
    report = compare(reference, window.inputs, outputs=window.outputs, settings=settings)
    of_window = {"rows": window.rows, "first_at": window.first_at, "last_at": window.last_at}
    said = {"verdict": report.verdict, "summary": report.summary, "at": project.clock(), "by": audit.actor()}
    row = {"name": version.name, "version": version.number, **said, **of_window}
    project.records.write([("add_monitor_verdict", row)])
    return report, window


def require_reference(version: Version) -> None:
    """Raise UsageError unless a version keeps what its training data looked like."""
    if version.kind == "service":
        models = ", ".join(version.description["models"])
        raise UsageError(
            f"{version.ref} is a service, which has no training data of its own.",
            why=f"Its models have: {models}. What they answer inside of it is in their own logs.",
            do=f"filiera monitor {version.description['models'][0]}",
        )
    if not {"signature", "reference"} <= set(version.attachments):
        raise UsageError(
            f"{version.ref} cannot be monitored.",
            why="It was published without a profile of its training data.",
            do="Publish it with the dataset that it was trained on.",
        )


def verdicts(
    records: MetadataStore, name: str, version: int, *, since: float = 0.0, limit: int = 20
) -> list[MonitorVerdict]:
    """Return what monitoring said of a version since a time, seconds since the epoch, the newest first."""
    wanted = {"name": name, "version": version, "since": since, "limit": limit}
    return [MonitorVerdict(**row) for row in records.read("monitor_verdicts", wanted)]
