"""Versions of models side by side: what they were made of, how good they are, and on the same rows which is better."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from filiera.core.document import Document, Section, listed, table
from filiera.core.evaluation import Evaluation, metrics_of
from filiera.core.gate import Improvement
from filiera.core.metric import Metric, Metrics
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.evaluation_text import interval_text, number
from filiera.model.interval_chart import Measured, interval_chart
from filiera.model.paired import common_rows, improvement
from filiera.project.attached import stored
from filiera.project.cards import domain, plainly
from filiera.project.origin import origin_of
from filiera.project.project import Project
from filiera.project.versions import Version

_ABSENT = "–"


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What two or more versions have of their own; the first is what the others are compared with.

    Each table has a row per name, with a text per version, ``–`` where it has no such thing; rows in which all versions
    agree are only counted.
    """

    versions: tuple[str, ...]
    facts: Mapping[str, tuple[str, ...]]  #: all of them: task, estimator, data, size, gates, …
    parameters: Mapping[str, tuple[str, ...]]  #: by "step.parameter", where they differ
    environment: Mapping[str, tuple[str, ...]]  #: Python, libraries, …, where they differ
    inputs: Mapping[str, tuple[str, ...]]  #: types and domains, where they differ
    equal: Mapping[str, int]  #: how many rows of these tables are equal
    metrics: tuple[Metrics, ...]  #: of each version
    improvements: Mapping[str, Mapping[str, Improvement]]  #: by version and metric, over the first, on the same rows
    not_paired: Mapping[str, str]  #: by version: why there are none

    @property
    def data(self) -> dict[str, Any]:
        """Return it as plain data."""
        measured = [{one.name: asdict(one) for one in metrics} for metrics in self.metrics]
        gained = {ref: {name: asdict(one) for name, one in found.items()} for ref, found in self.improvements.items()}
        tables = {name: dict(getattr(self, name)) for name in ("facts", "parameters", "environment", "inputs")}
        rest = {"equal": dict(self.equal), "metrics": measured, "improvements": gained}
        return {"versions": list(self.versions), **tables, **rest, "not_paired": dict(self.not_paired)}


def compare(project: Project, versions: Sequence[Version]) -> Comparison:
    """Return what model versions have in common, and what not. What is lost of them is left out.

    Raises:
        UsageError: There are fewer than two, or one is no model.
    """
    if len(versions) < 2:
        do = "Name two or more: filiera compare MODEL@1 MODEL@2; all are listed by filiera versions MODEL --columns all"
        raise UsageError("One version cannot be compared.", do=do)
    for version in versions:
        if version.kind != "model":
            raise UsageError(
                f"{version.ref} is a {version.kind}; models are compared, or services.",
                do="filiera data diff, for datasets",
            )
    origins = [origin_of(project.records, version) for version in versions]
    signatures = [stored(project, version, "signature") for version in versions]
    tables = {
        "parameters": [{} if one is None else {k: plainly(v) for k, v in one.parameters.items()} for one in origins],
        "environment": [{} if one is None else dict(one.environment) for one in origins],
        "inputs": [
            {} if one is None else {field.name: f"{field.type}, {domain(field)}" for field in one.inputs}
            for one in signatures
        ],
    }
    found = [stored(project, version, "evaluation") for version in versions]
    improved = {ref: gained(found[0], other) for ref, other in zip(_refs(versions[1:]), found[1:], strict=True)}
    different = {name: beside(columns) for name, columns in tables.items()}
    return Comparison(
        versions=tuple(_refs(versions)),
        facts=beside([dict(_facts(project, version)) for version in versions]),
        metrics=tuple(
            _noted(version) if one is None else metrics_of(one) for version, one in zip(versions, found, strict=True)
        ),
        equal={name: sum(len(set(row)) == 1 for row in rows.values()) for name, rows in different.items()},
        improvements={ref: one for ref, one in improved.items() if not isinstance(one, str)},
        not_paired={ref: one for ref, one in improved.items() if isinstance(one, str)},
        **{name: {k: row for k, row in rows.items() if len(set(row)) > 1} for name, rows in different.items()},
    )


def comparison_document(found: Comparison) -> Document:
    """Return a comparison as a document, with the improvements drawn."""
    sections = [
        Section("Versions", _table("", found, found.facts)),
        Section("Metrics", metrics_table(found.versions, found.metrics)),
    ]
    for ref, improved in found.improvements.items():
        title = f"{ref} against {found.versions[0]}, on the same rows"
        sections.append(Section(title, *improvements(improved)))
    if found.not_paired:
        lines = [f"{ref} is not compared on the same rows: {why}" for ref, why in found.not_paired.items()]
        sections.append(Section("Not compared row by row", listed(lines)))
    for name in ("parameters", "inputs", "environment"):
        rows, equal = getattr(found, name), found.equal[name]
        same = f"{equal:,} {'is' if equal == 1 else 'are'} equal."
        sections.append(Section(name.capitalize(), f"{_table('', found, rows)}\n\n{same}" if rows else same))
    title = " · ".join(found.versions)
    return Document(kind="Comparison", title=title, lead="", sections=tuple(sections))


def _refs(versions: Iterable[Version]) -> list[str]:
    return [version.ref for version in versions]


def _facts(project: Project, version: Version) -> Iterator[tuple[str, str]]:
    origin = origin_of(project.records, version)
    yield "task", version.description["task"]
    yield "estimator", version.description["estimator"].replace(":", ".")
    yield from ((name, ref) for name, ref in version.inputs.items())
    yield "gates", version.description["gates"].partition(" (")[0].partition(";")[0]
    yield "size", f"{project.size_of(version.artifact):,} bytes"
    yield "content", version.artifact.short
    yield "run", version.run_id
    yield "commit", "" if origin is None else origin.commit[:12] + (" and changes" if origin.is_dirty else "")
    yield "aliases", ", ".join(version.aliases)


def beside(columns: Sequence[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return a row of texts for each name that a column has, ``–`` where another one has it not."""
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: tuple(column.get(name, _ABSENT) for column in columns) for name in names}


def _noted(version: Version) -> Metrics:
    """Return the metrics that the record has of a version whose evaluation is lost."""
    noted = version.description["metrics"].items()
    return Metrics(
        tuple(Metric(name=name, method="as noted", **one) for name, one in noted), task=version.description["task"]
    )


def gained(base: Any, other: Any, only: Collection[str] = ()) -> dict[str, Improvement] | str:
    """Return the improvements of an evaluation over *base* on the same rows, or why there are none.

    Args:
        base: An ``Evaluation``; anything else, such as None, is taken for one that is lost.
        other: Another one.
        only: Names of metrics; all, where none is given.
    """
    if not isinstance(base, Evaluation) or not isinstance(other, Evaluation):
        return "an evaluation is lost, or kept no rows"
    rows = common_rows(other, base)
    if rows is None:
        return "they answered too few rows in common, or do different things"
    clusters = other.clusters if other.clusters in rows.columns else ""
    names = [name for name in other.metrics.names if name in base.metrics and (not only or name in only)]
    found = {name: improvement(name, rows, clusters=clusters) for name in names}
    return {name: one for name, one in found.items() if one is not None}


def metrics_table(titles: Sequence[str], measured: Sequence[Metrics]) -> str:
    """Return all metrics with their intervals, a column for each of *titles*."""
    names = dict.fromkeys(name for metrics in measured for name in metrics.names)
    rows = [
        (name, *(f"{number(m[name].value)} ({interval_text(m[name])})" if name in m else _ABSENT for m in measured))
        for name in names
    ]
    return table(("metric", *titles), rows) if rows else "Nothing was measured."


def improvements(gained: Mapping[str, Improvement]) -> tuple[str, tuple[Any, ...]]:
    """Return improvements as a table, with what their intervals say, and as a drawing."""
    rows = [
        (name, f"{one.value:+.4f}", f"{one.low:+.4f} to {one.high:+.4f}", verdict(one), f"{one.n:,}", one.method)
        for name, one in gained.items()
    ]
    header = ("metric", "improvement", "95 % interval", "", "rows", "by")
    lines = [Measured(label=n, value=one.value, low=one.low, high=one.high, mark=0.0) for n, one in gained.items()]
    chart = interval_chart(lines, of="Improvements with their intervals", mark="no difference")
    return table(header, rows, right=("improvement", "rows")), (chart,) if chart else ()


def verdict(one: Improvement) -> str:
    """Return what the interval says; positive is better, also for errors and losses."""
    return "better" if one.low > 0 else "worse" if one.high < 0 else "no telling"


def _table(head: str, found: Comparison, rows: Mapping[str, Sequence[str]]) -> str:
    return table((head, *found.versions), [(name, *row) for name, row in rows.items()])
