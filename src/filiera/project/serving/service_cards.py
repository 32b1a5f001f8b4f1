"""Versions of services for people: the card with the graph drawn, and versions side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from filiera.core.document import Document, Section, escaped, listed, table, utc
from filiera.core.drawing import draw
from filiera.core.graph_flow import flow_of, outline
from filiera.core.package import Package, read_shape
from filiera.core.report import Svg
from filiera.project.attached import LOST, stored
from filiera.project.cards import alias_moves, domain, lineage_section, made_by, signature_sections
from filiera.project.origin import lineage, origin_of, version_named
from filiera.project.project import Project
from filiera.project.serving.packages import package_of
from filiera.project.versions import Version

_SHOWN_DIGITS = 12
_MOST_METRICS = 2
_ABSENT = "–"


def service_card(project: Project, version: Version) -> Document:
    """Return the card of a service version, with its graph drawn. What the store has lost is said to be lost."""
    facts = [version.description["task"], f"published {utc(version.created_at)}"]
    facts += [", ".join(version.aliases)] if version.aliases else []
    package: Package | None = None
    with suppress(*LOST):
        package = package_of(project, version)
    sections = [
        *(_graph(package) if package is not None else [Section("Graph", "What it is made of is lost.")]),
        _models(project, version),
        *signature_sections(project, version),
        lineage_section(project, version, list(lineage(project.versions, version))),
        made_by(project, version, origin_of(project.records, version)),
        *alias_moves(project, version),
    ]
    lead = " · ".join(map(escaped, facts))
    return Document(kind="Service card", title=version.ref, lead=lead, sections=tuple(sections))


def compare_services(project: Project, versions: Sequence[Version]) -> tuple[Document, dict[str, Any]]:
    """Return versions of services side by side, as a document and as data.

    Raises:
        CodecError, BlobMissing, BlobCorrupted: What one is made of cannot be read.
    """
    packages = [package_of(project, version) for version in versions]
    signatures = [stored(project, version, "signature") for version in versions]
    tables: dict[str, list[dict[str, str]]] = {
        "Versions": [_facts(project, version) for version in versions],
        "Graph": [_nodes(package) for package in packages],
        "Models": [dict(package.models) for package in packages],
        "Code of functions": [_short(package.functions) for package in packages],
        "Inputs": [
            {} if one is None else {field.name: f"{field.type}, {domain(field)}" for field in one.inputs}
            for one in signatures
        ],
    }
    refs = [version.ref for version in versions]
    sections: list[Section] = []
    data: dict[str, Any] = {"versions": refs}
    for title, columns in tables.items():
        names = dict.fromkeys(name for column in columns for name in column)
        rows = {name: [column.get(name, _ABSENT) for column in columns] for name in names}
        different = {name: row for name, row in rows.items() if len(set(row)) > 1 or title == "Versions"}
        data["facts" if title == "Versions" else title.lower()] = rows
        told = [table(("", *refs), [(name, *row) for name, row in different.items()])] if different else []
        if len(rows) > len(different) or not rows:
            told.append(f"{len(rows) - len(different):,} equal.")
        sections.append(Section(title, "\n\n".join(told)))
    return Document(kind="Comparison", title=" · ".join(refs), lead="", sections=tuple(sections)), data


def _graph(package: Package) -> Iterator[Section]:
    node = read_shape(package.graph)
    text = "\n".join(listed([line], depth=depth) for depth, line in outline(node, package.models))
    flow = flow_of(node, package.models)
    drawing = draw(flow.upstream, flow.labels)
    yield Section("Graph", text, (Svg(drawing),) if drawing else ())
    if package.functions:
        yield Section("Functions", table(("function", "code"), list(_short(package.functions).items())))


def _models(project: Project, version: Version) -> Section:
    rows = []
    for reference in dict.fromkeys(version.inputs.values()):
        model = version_named(project.versions, reference)
        if model is None:
            rows.append((reference, "no longer in the store", ""))
            continue
        metrics = [f"{name} {one['value']:.4f}" for name, one in model.description.get("metrics", {}).items()]
        rows.append((reference, ", ".join(dict.fromkeys(model.inputs.values())), ", ".join(metrics[:_MOST_METRICS])))
    return Section("Models", table(("version", "made from", "measured"), rows))


def _facts(project: Project, version: Version) -> dict[str, str]:
    origin = origin_of(project.records, version)
    return {
        "task": version.description["task"],
        "content": version.artifact.short,
        "signature": version.description["signature"][:_SHOWN_DIGITS],
        "run": version.run_id,
        "commit": "" if origin is None else origin.commit[:_SHOWN_DIGITS] + (" and changes" if origin.is_dirty else ""),
        "aliases": ", ".join(version.aliases),
    }


def _nodes(package: Package) -> dict[str, str]:
    """Return what each node does, by its place in the graph; which versions its models are is told elsewhere."""
    found: dict[str, str] = {}
    for depth, line in outline(read_shape(package.graph), {}):
        name, _, what = line.partition(": ")
        place = f"{'· ' * depth}{name}"
        found[place if place not in found else f"{place} ({len(found)})"] = what
    return found


def _short(digests: Mapping[str, str]) -> dict[str, str]:
    return {name: digest[:_SHOWN_DIGITS] for name, digest in digests.items()}
