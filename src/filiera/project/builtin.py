"""The steps that every pipeline gets: collecting sources, checking and publishing what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from filiera.core.check import Check, CheckReport, domains
from filiera.core.collected import Collected
from filiera.core.contract import Contract
from filiera.core.evaluation import Evaluation, metrics_of
from filiera.core.files import Files
from filiera.core.fit import Fit
from filiera.core.gate import Gate, GateReport, Waiver, waive
from filiera.core.metric import Metric, Metrics
from filiera.core.options import Cache
from filiera.core.reference import ReferenceProfile
from filiera.core.signature import Signature
from filiera.core.step import step
from filiera.engine.artifacts import StoredItems
from filiera.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import polars as pl

    from filiera.data.checked_table import Beside


# A collection to go on from does not count: with it or without it the source's content is the same.
@step(stage="collect", cache=Cache(ignore=("before", "told")))
def collect(
    entry: dict[str, Any],
    fingerprint: str,
    before: pl.LazyFrame = None,  # type: ignore[assignment]  # an annotation that the engine gives queries for
    told: Collected | None = None,
) -> tuple[Any, Collected]:
    """Return the value of a catalog entry, and what is recorded of it; *fingerprint* is that of the source's content.

    *before* and *told* are what an earlier collection of a source that grows returned.

    Raises:
        SourceError: The source is missing, unreadable, not what was declared, or changed since the run was planned.
    """
    from filiera.project.checkout import source_root
    from filiera.project.collecting import collected_value
    from filiera.project.plugins import source_reader
    from filiera.project.surroundings import project_root

    earlier = None if told is None else (before, told)
    root = source_root(entry, project_root())
    return collected_value(source_reader(entry["type"]), entry, fingerprint, root=root, before=earlier)


Promised = dict[str, tuple[Any, Any, Any]]
"""Per column: the least and the greatest value and the closed set of values that blocking checks promise, or None."""


Sensitive = dict[str, bool]
"""Columns whose values are shown nowhere, and whether they must be there: those that the dataset itself names."""


@step(stage="validate")
def validate(
    table: pl.LazyFrame,
    checks: tuple[Check, ...],
    tables: dict[str, pl.LazyFrame] | None = None,
    now: str = "",
    sensitive: Sensitive | None = None,
) -> tuple[CheckReport, Promised]:
    """Return what the checks of the dataset found, and what they promise; a blocking one that failed stops the run.

    *tables* are others that checks look at, by reference; *now* is the time that freshness is judged by.
    """
    from filiera.data.checks import run_checks

    query = _query(table)
    shy = _shy(query.collect_schema(), sensitive)
    report = run_checks(query, checks, beside=_beside(tables, now), sensitive=shy)
    _tell(report)
    return report, _promised(checks)


@step(stage="validate")
def validate_with_quarantine(
    table: pl.LazyFrame,
    checks: tuple[Check, ...],
    tables: dict[str, pl.LazyFrame] | None = None,
    now: str = "",
    sensitive: Sensitive | None = None,
    *,
    aside: pl.LazyFrame | None = None,
) -> tuple[CheckReport, Promised, Any, Any]:
    """Return what ``validate`` does, the rows that are kept, and those set aside with the rule they broke.

    The latter follow those that steps before have set *aside*.
    """
    from filiera.data.quarantine import validate_lazily
    from filiera.data.set_aside import joined

    query = _query(table)
    shy = _shy(query.collect_schema(), sensitive)
    validated = validate_lazily(query, checks, beside=_beside(tables, now), sensitive=shy)
    _tell(validated.report)
    rejected = validated.rejected if aside is None else joined(_query(aside), validated.rejected)
    return validated.report, _promised(checks), validated.kept, rejected


@step(stage="validate")
def validate_files(
    table: Files,
    checks: tuple[Check, ...],
    tables: dict[str, pl.LazyFrame] | None = None,
    now: str = "",
    sensitive: Sensitive | None = None,
) -> tuple[CheckReport, Promised, Files, Any]:
    """Return what ``validate_with_quarantine`` does; what was set aside when files were collected is set aside, too."""
    from filiera.data import quarantine

    shy = _shy(table.table.schema, sensitive)
    files = quarantine.validate_files(table, checks, beside=_beside(tables, now), sensitive=shy)
    _tell(files.report)
    return files.report, _promised(checks), files.kept, files.kept.rejected


@step(stage="publish")
def publish_dataset(
    table: pl.LazyFrame,
    report: CheckReport,
    keys: tuple[str, ...] = (),
    partitions: tuple[str, ...] = (),
    sensitive: Sensitive | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Return the table, to be stored in chunks if it is not yet, and the description that is kept with the version.

    *keys* are what names a row, *partitions* the values of the list over which the table was made.
    """
    query = _query(table)
    description = _described(query, report, keys, sensitive)
    if partitions:
        description["partitions"] = list(partitions)
    return query, description


@step(stage="publish")
def publish_files(
    table: Files, report: CheckReport, keys: tuple[str, ...] = (), sensitive: Sensitive | None = None
) -> tuple[Files, dict[str, Any]]:
    """Return the files, and what ``publish_dataset`` does of their table."""
    return table, {**_described(table.table.lazy(), report, keys, sensitive), "set aside": len(table.rejected)}


def _described(
    query: pl.LazyFrame, report: CheckReport, keys: tuple[str, ...], sensitive: Sensitive | None
) -> dict[str, Any]:
    schema = query.collect_schema()
    failed = report.failed_by_severity
    description: dict[str, Any] = {
        "rows": report.rows,
        "columns": {name: str(kind) for name, kind in schema.items()},
        "checks": {"passed": len(report.results) - len(report.failed), **{str(k): v for k, v in failed.items()}},
    }
    if keys:
        description["keys"] = list(keys)
    if shy := _shy(schema, sensitive):
        description["sensitive"] = shy
    return description


def _shy(columns: Mapping[str, Any], sensitive: Sensitive | None) -> list[str]:
    """Return the sensitive ones among *columns*. Raises UsageError when one that must be there is not."""
    for name, is_needed in (sensitive or {}).items():
        if is_needed and name not in columns:
            raise UsageError(
                f"The dataset calls a column {name!r} sensitive that the table has not.",
                why=f"It has: {', '.join(columns)}.{did_you_mean(name, list(columns))}",
                do="Correct sensitive=… of the Dataset: a wrong name would hide nothing.",
            )
    return [name for name in sensitive or {} if name in columns]


def _query(table: Any) -> pl.LazyFrame:
    import polars as pl

    if isinstance(table, StoredItems):
        from filiera.data.as_table import as_one

        return as_one(table.lazily())
    if isinstance(table, Files):
        rows: pl.LazyFrame = table.table.lazy()
        return rows
    return table if isinstance(table, pl.LazyFrame) else _polars(table).lazy()


def _beside(tables: Mapping[str, Any] | None, now: str) -> Beside:
    import datetime as dt

    from filiera.data.checked_table import Beside

    others = {name: _query(table) for name, table in (tables or {}).items()}
    return Beside(tables=others, now=dt.datetime.fromisoformat(now) if now else None)


def _polars(table: Any) -> Any:
    import polars as pl

    return table if isinstance(table, pl.DataFrame) else pl.DataFrame(table)


def _tell(report: CheckReport) -> None:
    print(report.headline)
    for result in report.failed:
        print(f"  {result.severity}: {result.name}: {result.reason}")


def _promised(checks: tuple[Check, ...]) -> Promised:
    return {name: (domain.minimum, domain.maximum, domain.values) for name, domain in domains(checks).items()}


@step(stage="evaluate")
def time_model(model: Any, evaluated: pl.LazyFrame) -> Metric:
    """Return how long the model takes for one row, on this machine."""
    from filiera.model.latency import latency

    return latency(model, _query(evaluated))


@step(stage="gate")
def gate(
    gates: tuple[Gate, ...],
    evaluation: Evaluation | Metrics,
    champion: Evaluation | Metrics | None,
    *,
    training: pl.LazyFrame | None = None,
    evaluated: pl.LazyFrame | None = None,
    may_share: bool = False,
    task: str = "",
    waivers: tuple[Waiver, ...] = (),
    timed: Metric | None = None,
    size: int | None = None,
    reference: ReferenceProfile | None = None,
) -> tuple[GateReport, Evaluation | Metrics | None, ReferenceProfile | None]:
    """Return whether the candidate may be published, *champion* and *reference*; a gate that fails stops the run.

    A model that was tested on rows it was trained on (*training* and *evaluated*, where both are given) stops it, too,
    unless *may_share*. *timed*, *size* and *reference* are given where a gate names what is measured with them.

    Raises:
        UsageError: The model is declared for another *task* than it was evaluated by.
    """
    from filiera.model.gates import decide
    from filiera.model.shared import shared_rows
    from filiera.project.gating import Measured, costs

    measured = metrics_of(evaluation)
    if task and task != measured.task:
        raise UsageError(
            f"The model is declared for {task}, but was evaluated by the metrics of {measured.task}.",
            do=f'Declare Model(…, task="{measured.task}"), or evaluate it by those of {task}.',
        )
    for note in measured.notes:
        print(f"note: {note}")
    rows = None if evaluated is None else _query(evaluated)
    found = decide(gates, evaluation, champion, costs(gates, Measured(timed, size, reference), rows))
    shared = None if training is None or rows is None else shared_rows(_query(training), rows, is_allowed=may_share)
    report = GateReport(tuple(waive(result, waivers) for result in found), shared)
    for result in report.results:
        said = "passed" if result.passed else "FAILED" if result.waiver is None else "waived"
        print(f"{said}: {result.reason}")
        if result.waiver is not None:
            print(f"  until {result.waiver.until}: {result.waiver.reason}")
    if shared is not None:
        print(f"{'FAILED' if shared.blocks else 'passed'}: {shared.reason}")
    return report, champion, reference


_NOTED = ("value", "low", "high", "n", "greater_is_better")
"""What the description of a version says of each metric: what lists show and sort by."""


@step(stage="publish")
def publish_model(
    model: Any,
    training: Any,
    evaluated: Any,
    *,
    evaluation: Evaluation | Metrics,
    verdict: GateReport,
    promised: list[Promised],
    sensitive: tuple[str, ...] = (),
    about: str = "",
    contract: Contract | None = None,
) -> tuple[Signature, ReferenceProfile, dict[str, Any], Fit]:
    """Return the model's signature, what its training data looked like, what is kept with the version, and its fit."""
    from filiera.model.fitted import fit_of
    from filiera.model.package import describe_model, without_values_of

    metrics = metrics_of(evaluation)
    limits = {name: domain for each in promised for name, domain in each.items()}
    card = describe_model(
        model,
        training=_polars(training),
        metrics=metrics,
        evaluated=None if evaluated is None else _polars(evaluated),
        domains=limits,
    )
    redacted = () if contract is None else tuple(contract.redact)
    card = without_values_of((*sensitive, *redacted), card, domains=limits)
    if contract is not None:
        card = replace(card, signature=contract.applied(card.signature))
    description = {
        "task": card.task,
        "estimator": card.model,
        "metrics": {one.name: {name: getattr(one, name) for name in _NOTED} for one in metrics},
        "gates": verdict.summary,
        "gated": list(dict.fromkeys(result.gate.metric for result in verdict.results)),
        "inputs": len(card.signature.inputs),
        "signature": card.signature.hash,
        "notes": list(card.notes),
    }
    if about:
        description["about"] = about
    return card.signature, card.reference, description, fit_of(model)


@step(stage="publish")
def export_model(model: Any, training: Any, evaluated: Any, signature: Signature) -> tuple[Any, str]:
    """Return the model as an ``OnnxModel``, or None if there is none that answers alike; and what became of it."""
    from filiera.model.onnx_export import export_onnx

    exported = export_onnx(model, _rows_to_compare(signature, training, evaluated))
    print(f"ONNX: {exported.note}")
    return exported.model, exported.note


def _rows_to_compare(signature: Signature, training: Any, evaluated: Any) -> pl.DataFrame:
    """Return the signature's examples, and the rows that the model was evaluated on."""
    import polars as pl

    given: pl.DataFrame = _polars(training if evaluated is None else evaluated)
    rows = given.select([field.name for field in signature.inputs])
    return pl.concat([pl.DataFrame(list(signature.examples), schema=rows.schema, strict=False), rows])


LIBRARIES: Mapping[Any, tuple[str, ...]] = {
    collect.function: ("polars",),
    validate.function: ("polars",),
    validate_with_quarantine.function: ("polars",),
    validate_files.function: ("polars",),
    publish_dataset.function: ("polars",),
    publish_files.function: ("polars",),
    gate.function: ("polars", "numpy", "scipy"),
    publish_model.function: ("polars", "numpy", "sklearn"),
    export_model.function: ("skl2onnx", "onnxmltools", "onnxruntime"),
}
"""Libraries whose versions belong to the keys of these steps. They are named here, because following our own code would
import them at every start, and ``filiera`` itself stands in a key with its version only."""


def checked_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a catalog entry as a plain dictionary, checked by its reader. Raises ProjectError."""
    from filiera.project.plugins import source_reader

    source_reader(entry["type"]).check(entry)
    return dict(entry)
