"""Serving graphs with the versions of this project: each model here, or where ``[graph.NAME]`` says that it is."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from filiera.core.graphs import Leaf, ServingGraph, leaves
from filiera.core.products import OF_EXPERIMENT, ProductRef
from filiera.errors import ProjectError, did_you_mean
from filiera.project import runtimes
from filiera.project.config import FILE_NAME
from filiera.project.packages import package_of, require_trust

if TYPE_CHECKING:
    from filiera.core.signature import Signature
    from filiera.project.project import Project
    from filiera.project.versions import Version
    from filiera.serving.graph_build import GraphPredictor, Member

_TOKEN_VARIABLE = "FILIERA_TOKEN"  # noqa: S105 - the name of the variable, not a token


def versions_of(project: Project, graph: ServingGraph) -> dict[Leaf, Version]:
    """Return the version that each model of a graph means now. Raises UsageError, Untrusted."""
    return {leaf: project.versions.resolve("model", leaf.ref) for leaf in leaves(graph.node)}


def graph_of(project: Project, service: Version) -> tuple[ServingGraph, dict[Leaf, Version]]:
    """Return the graph of a service version, with the code that it was published with, and its models' versions.

    Raises:
        UsageError: A model version is gone.
        Untrusted: The project asks for a signature that a model version does not have, or the version came in an
            archive and no trusted key has signed it.
        ProjectError: Its code cannot be imported, or a model version is not what it was.
        CodecError, BlobMissing, BlobCorrupted: What the version has cannot be read.
    """
    from filiera.core.package import read_graph
    from filiera.project.packed_code import load

    require_trust(project, service)
    package = package_of(project, service)
    moved_to = load(project.value(service.attachments["code"]))
    for function in package.functions:
        importlib.import_module(moved_to(function.partition(":")[0]))
    node = read_graph(package.graph, moved_to)
    versions = {}
    for leaf in leaves(node):
        version = project.versions.resolve("model", ProductRef.parse(package.models[str(leaf.ref)]))
        if version.artifact.digest != package.contents[version.ref]:
            raise ProjectError(
                f"{version.ref} is not what {service.ref} was published with.",
                why="Another version has its number now: the one that it had was dropped.",
                do=f"Publish the service again: filiera run {service.name}",
            )
        versions[leaf] = version
    return ServingGraph(name=service.name.partition(OF_EXPERIMENT)[0], node=node), versions


def asked(project: Project, version: Version) -> tuple[str, ...]:
    """Return which model versions a service version asks, and where; of a model none."""
    if version.kind != "service":
        return ()
    graph, versions = graph_of(project, version)
    return shown(versions, moved(project, graph))


def shown(versions: Mapping[Leaf, Version], elsewhere: Mapping[Leaf, str]) -> tuple[str, ...]:
    """Return for people which versions are asked, and where those are that run elsewhere."""
    return tuple(
        f"{version.ref}, at {elsewhere[leaf]}" if leaf in elsewhere else version.ref
        for leaf, version in versions.items()
    )


def predictor_of(
    project: Project, graph: ServingGraph, versions: Mapping[Leaf, Version]
) -> tuple[GraphPredictor, Signature]:
    """Return what answers for a graph, and its signature.

    Raises:
        GraphError: Its parts do not fit.
        ProjectError: ``[graph.NAME]`` names a model that it does not have, or a service that does not have the version.
        CodecError, BlobMissing, BlobCorrupted: A version cannot be loaded.
    """
    from filiera.serving.graph_build import build

    elsewhere = moved(project, graph)
    return build(graph, lambda leaf: _member(project, versions[leaf], elsewhere.get(leaf)))


def moved(project: Project, graph: ServingGraph) -> Mapping[Leaf, str]:
    """Return the addresses of models that run in other processes. Raises ProjectError."""
    where = f"[graph.{graph.name}] of {project.config.root / FILE_NAME}"
    table: Any = project.config.graphs.get(graph.name, {})
    if not isinstance(table, dict) or not all(isinstance(url, str) for url in table.values()):
        raise ProjectError(f"{where} must give an address for each model.", do='Write MODEL = "http://127.0.0.1:8101".')
    known = {name: leaf for leaf in leaves(graph.node) for name in (leaf.ref.name, str(leaf.ref))}
    for name in table:
        if name not in known:
            why = f"It has: {', '.join(known)}.{did_you_mean(name, known)}"
            raise ProjectError(f"{where} names {name!r}, which the graph does not have.", why=why)
    return {known[name]: url for name, url in table.items()}


def _member(project: Project, version: Version, url: str | None) -> Member:
    from filiera.serving.graph_build import Member
    from filiera.serving.predictor import Predictor
    from filiera.serving.remote_model import RemoteModel

    if url is None:
        model, signature = runtimes.model_to_serve(project, version)
        predictor = model if hasattr(model, "is_brief") else Predictor(model, signature)
        return Member(name=version.name, signature=signature, predictor=predictor)
    signature = project.value(version.attachments["signature"])
    token = os.environ.get(_TOKEN_VARIABLE) or None
    remote = RemoteModel(url, version.name, version=version.number, signature=signature, token=token)
    remote.require()
    return Member(name=version.name, signature=signature, predictor=remote)
