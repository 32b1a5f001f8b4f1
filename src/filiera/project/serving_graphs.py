"""Serving graphs with the versions of this project: each model here, or where ``[graph.NAME]`` says that it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from filiera.core.graphs import Leaf, ServingGraph, leaves
from filiera.errors import ProjectError, did_you_mean
from filiera.project import runtimes
from filiera.project.config import FILE_NAME

if TYPE_CHECKING:
    from filiera.ports import PredictionLog
    from filiera.project.project import Project
    from filiera.project.versions import Version
    from filiera.serving.graph_build import Member
    from filiera.serving.served_model import ServedModel

_TOKEN_VARIABLE = "FILIERA_TOKEN"  # noqa: S105 - the name of the variable, not a token


def versions_of(project: Project, graph: ServingGraph) -> dict[Leaf, Version]:
    """Return the version that each model of a graph means now. Raises UsageError, Untrusted."""
    return {leaf: project.versions.resolve("model", leaf.ref) for leaf in leaves(graph.node)}


def served_graph(
    project: Project, graph: ServingGraph, versions: Mapping[Leaf, Version], *, log: PredictionLog | None = None
) -> ServedModel:
    """Return a graph as what answers for a model.

    Raises:
        GraphError: Its parts do not fit.
        ProjectError: ``[graph.NAME]`` names a model that it does not have, or a service that does not have the version.
        CodecError, BlobMissing, BlobCorrupted: A version cannot be loaded.
    """
    from filiera.serving.graph_build import build
    from filiera.serving.served_model import ServedModel

    elsewhere = moved(project, graph)
    predictor, signature = build(graph, lambda leaf: _member(project, versions[leaf], elsewhere.get(leaf)))
    return ServedModel(graph.name, predictor, version=graph.version, signature=signature, log=log)


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
