"""The card of a model version: all that its record says, and its author's own words, as one document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from filiera.core.collected import Collected
from filiera.core.document import Document, Section, escaped, listed, table, utc
from filiera.core.fit import Fit
from filiera.core.gate import GateReport, GateResult
from filiera.core.reference import ReferenceProfile
from filiera.core.signature import Field, Signature
from filiera.errors import UsageError
from filiera.model.evaluation_text import evaluation_sections
from filiera.model.interval_chart import Measured, interval_chart
from filiera.project.attached import LOST, stored
from filiera.project.collecting import collected_for
from filiera.project.contributing import kept_contributions
from filiera.project.importances import kept_importances
from filiera.project.origin import Origin, lineage, origin_of
from filiera.project.project import Project
from filiera.project.versions import Version

_MOST_VALUES = 12
_MOST_INPUTS = 20
_HIDDEN = "(hidden)"


def card(project: Project, version: Version) -> Document:
    """Return the card of a model version. What the store has lost is said to be lost.

    Raises:
        UsageError: It is no model.
    """
    if version.kind != "model":
        raise UsageError(
            f"{version.ref} is a {version.kind}; models and services have cards.",
            do=f"filiera show {version.ref}, or filiera data profile {version.ref}",
        )
    origin = origin_of(project.records, version)
    made_from = list(lineage(project.versions, version))
    sensitive = {name for *_, found in made_from if found for name in found.description.get("sensitive", ())}
    sections = [
        *_evaluation(project, version, sensitive),
        _gates(project, version),
        *signature_sections(project, version),
        _training(project, version, origin),
        *_parameters(origin),
        *_importance(project, version),
        *_fit(project, version),
        lineage_section(project, version, made_from),
        made_by(project, version, origin),
        *alias_moves(project, version),
    ]
    return Document(kind="Model card", title=version.ref, lead=_lead(project, version), sections=tuple(sections))


def _lead(project: Project, version: Version) -> str:
    description = version.description
    facts = [description["task"], description["estimator"].replace(":", "."), f"published {utc(version.created_at)}"]
    facts += [", ".join(version.aliases)] if version.aliases else []
    lines = [" · ".join(map(escaped, facts))]
    if about := description.get("about", ""):
        lines.append(about.strip())
    if notes := description.get("notes", ()):
        lines.append(listed(notes))
    return "\n\n".join(lines)


def _evaluation(project: Project, version: Version, sensitive: set[str]) -> Iterator[Section]:
    found = stored(project, version, "evaluation")
    if found is not None:
        yield from evaluation_sections(found, sensitive=sensitive)
        return
    rows = [
        (name, f"{one['value']:.4f}", f"{one['low']:.4f} to {one['high']:.4f}", one["n"])
        for name, one in version.description["metrics"].items()
    ]
    text = table(("metric", "value", "95 % interval", "rows"), rows, right=("value", "rows"))
    yield Section("Metrics", f"The evaluation itself is lost; this is what was noted of it.\n\n{text}")


def _gates(project: Project, version: Version) -> Section:
    report: GateReport | None = stored(project, version, "gates")
    if report is None or not (report.results or report.shared):
        return Section("Gates", escaped(version.description["gates"]))
    lines = [f"{_verdict(one)}: {one.reason}" for one in report.results]
    if report.shared is not None:
        lines.append(f"{'FAILED' if report.shared.blocks else 'passed'}: {report.shared.reason}")
    return Section("Gates", listed(lines))


def _verdict(result: GateResult) -> str:
    if result.waiver is not None:
        return f"WAIVED until {result.waiver.until} ({result.waiver.reason})"
    return "passed" if result.passed else "FAILED"


def _importance(project: Project, version: Version) -> Iterator[Section]:
    kept = kept_importances(project, version)
    if kept:
        from filiera.model.importance_text import importance_section

        yield importance_section(kept[-1])
    for each in kept_contributions(project, version):
        from filiera.model.contributions_text import contributions_section

        yield contributions_section(each)


def _fit(project: Project, version: Version) -> Iterator[Section]:
    fit: Fit | None = stored(project, version, "fit")
    if fit is not None and fit.importances:
        first = list(fit.importances.items())[:_MOST_INPUTS]
        lines = [Measured(label=name, value=value, low=value, high=value) for name, value in first]
        chart = interval_chart(lines, of="Importances by the model itself")
        more = f"\n\nand {len(fit.importances) - len(first)} more" if len(fit.importances) > len(first) else ""
        own = f"As the {fit.estimator.replace(':', '.')} itself tells it, on its own scale."
        text = table(("input", "importance"), [(name, f"{value:.4g}") for name, value in first], right=("importance",))
        yield Section("Importances by the model itself", f"{escaped(own)}\n\n{text}{more}", (chart,) if chart else ())


def signature_sections(project: Project, version: Version) -> Iterator[Section]:
    """Yield what a version takes and gives."""
    signature: Signature | None = stored(project, version, "signature")
    if signature is None:
        return
    has_units = any(one.unit for one in signature.inputs)
    rows = [
        (one.name, one.type, domain(one), "taken" if one.nullable else "refused", *([one.unit] if has_units else []))
        for one in signature.inputs
    ]
    header = ("input", "type", "domain", "missing values", *(["unit"] if has_units else []))
    yield Section("Inputs", table(header, rows))
    outputs = [(one.name, one.type, one.semantics, _few(one.labels)) for one in signature.outputs]
    yield Section("Outputs", table(("output", "type", "is", "labels"), outputs))


def domain(field: Field) -> str:
    """Return which values an input takes, for people."""
    if field.sensitive:
        return _HIDDEN
    if field.values is not None:
        return _few(field.values)
    match field.minimum, field.maximum:
        case None, None:
            return "any"
        case low, None:
            return f"{low:g} or more"
        case None, high:
            return f"{high:g} or less"
    return f"{field.minimum:g} to {field.maximum:g}"


def _few(values: tuple[Any, ...]) -> str:
    more = f", … ({len(values)})" if len(values) > _MOST_VALUES else ""
    return ", ".join(map(str, values[:_MOST_VALUES])) + more


def _training(project: Project, version: Version, origin: Origin | None) -> Section:
    reference: ReferenceProfile | None = stored(project, version, "reference")
    lines = [f"made from {', '.join(f'{name} = {ref}' for name, ref in version.inputs.items())}"]
    if reference is not None:
        lines.append(f"{reference.rows:,} rows to train on, {len(reference.columns)} columns in")
    evaluated = [one["n"] for one in version.description["metrics"].values()]
    if evaluated:
        lines.append(f"{max(evaluated):,} rows to evaluate on")
    for step, stage in origin.stages.items() if origin else ():
        if stage == "split":
            given = [f"{name.partition('.')[2]} = {plainly(value)}" for name, value in _of_step(origin, step)]
            lines.append(f"split by {step}" + (f": {', '.join(given)}" if given else ""))
    return Section("Training data", listed(lines))


def _of_step(origin: Origin | None, step: str) -> list[tuple[str, Any]]:
    given = origin.parameters.items() if origin else ()
    return [(name, value) for name, value in given if name.partition(".")[0] == step]


def _parameters(origin: Origin | None) -> Iterator[Section]:
    if origin is not None and origin.parameters:
        rows = [(*name.split(".", 1), plainly(value)) for name, value in origin.parameters.items()]
        yield Section("Parameters", table(("step", "parameter", "value"), rows))


def plainly(value: Any) -> str:
    """Return a plain value for people: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def lineage_section(project: Project, version: Version, made_from: list[tuple[int, str, Version | None]]) -> Section:
    """Return what a version was made from, and what that was made from."""
    collected: dict[str, Collected] = {}
    for each in (version, *(found for *_, found in made_from if found is not None)):
        with suppress(*LOST):
            collected |= collected_for(project, each)
    lines = []
    for depth, reference, found in made_from:
        told = _published(found) if found else _told(reference, collected)
        lines.append(listed([", ".join([reference, *told])], depth=depth))
    return Section("Lineage", "\n".join(lines) or "Made from nothing that is recorded.")


def _published(version: Version) -> list[str]:
    rows = version.description.get("rows")
    content = f"{version.artifact.codec} {version.artifact.short}"
    published = f"published {utc(version.created_at)} by {version.run_id}"
    return [*([f"{rows:,} rows"] if rows is not None else []), content, published]


def _told(reference: str, collected: Mapping[str, Collected]) -> list[str]:
    """Return what is known of a thing that is no version of the store: a source, or a version that is gone."""
    return ["no longer in the store"] if "@" in reference else _read(collected.get(reference.partition(" ")[0]))


def _read(source: Collected | None) -> list[str]:
    if source is None:
        return []
    rows = [f"{source.rows:,} rows"] if source.rows is not None else []
    return [*rows, f"from {source.place}", f"read {utc(source.at)}"]


def made_by(project: Project, version: Version, origin: Origin | None) -> Section:
    """Return which run, code and libraries made a version."""
    proofs = project.records.read("proofs_of_run", {"run_id": version.run_id})
    proven = f"{utc(proofs[0]['at'])} by {proofs[0]['by']}" if proofs else f"not yet: filiera prove {version.ref}"
    facts: list[tuple[str, str]] = [("run", version.run_id)]
    if origin is None:
        facts.append(("", "the records of this run are gone"))
    else:
        changes = " with changes that were not committed" if origin.is_dirty else ""
        facts.append(("commit", f"{origin.commit or 'none'}{changes}"))
        facts += list(origin.environment.items())
    content = f"{version.artifact.digest} ({version.artifact.codec}, {project.size_of(version.artifact):,} bytes)"
    facts += [("content", content), ("proven", proven)]
    return Section("Made by", table(("", "what"), facts))


def alias_moves(project: Project, version: Version) -> Iterator[Section]:
    """Yield when aliases came to a version, and left it, if any did."""
    moves = [
        move
        for move in project.versions.moves(version.kind, version.name)
        if version.number in (move.number, move.before)
    ]
    if moves:
        rows = [(utc(move.at), move.alias, move.told, move.by, move.reason) for move in moves]
        yield Section("Aliases", table(("when", "alias", "", "who", "why"), rows))
