"""Serving graphs with the versions of this project: published ones, and those that its code has."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from filiera.core.graphs import Leaf, ServingGraph, leaves
from filiera.core.products import OF_EXPERIMENT, ProductRef
from filiera.errors import ProjectError
from filiera.project.serving import runtimes
from filiera.project.serving.packages import package_of, require_trust

if TYPE_CHECKING:
    from filiera.core.signature import Signature
    from filiera.project.project import Project
    from filiera.project.versions import Version
    from filiera.serving.graph_predictor import GraphPredictor, Member


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


def predictor_of(
    project: Project, graph: ServingGraph, versions: Mapping[Leaf, Version]
) -> tuple[GraphPredictor, Signature]:
    """Return what answers for a graph, all in this process, and its signature.

    Raises:
        GraphError: Its parts do not fit.
        CodecError, BlobMissing, BlobCorrupted: A version cannot be loaded.
    """
    from filiera.serving.graph_build import build

    return build(graph, lambda leaf: member_of(project, versions[leaf]))


def member_of(project: Project, version: Version) -> Member:
    """Return a model version to be asked in this process. Raises CodecError, BlobMissing, BlobCorrupted."""
    from filiera.serving.graph_predictor import Member
    from filiera.serving.predictor import Predictor

    model, signature = runtimes.model_to_serve(project, version)
    predictor = model if hasattr(model, "is_brief") else Predictor(model, signature)
    return Member(name=version.name, signature=signature, predictor=predictor, version=version.number)
