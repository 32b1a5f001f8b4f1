"""A serving graph as a pipeline that publishes a service: its models are its inputs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from filiera.core.graph import Future, Graph, Known, OutputRef, Publication
from filiera.core.graphs import Leaf, ServingGraph, leaves
from filiera.core.package import functions_of
from filiera.core.pipeline import Pipeline
from filiera.core.products import Model, Service
from filiera.errors import GraphError, ProjectError


def pipeline_of_graph(graph: ServingGraph) -> Pipeline:
    """Return the pipeline of kind ``serving`` that publishes a version of a graph; each of its models is a parameter.

    Raises:
        GraphError: It has a function that nothing can find again.
    """
    from filiera.project import builtin_service

    for function in functions_of(graph.node):
        if "<" in function.__qualname__:
            raise GraphError(
                f"The graph {graph.name!r} has the function {function.__qualname__}, which cannot be published.",
                why="A version names its functions by module and name.",
                do="Define it with def, at the top level of a module.",
            )
    named = _parameters(graph)

    def _traced(**models: Future) -> Any:
        packed = builtin_service.package(graph)
        return packed, builtin_service.contract(graph, {str(named[name].ref): given for name, given in models.items()})

    _traced.__name__ = _traced.__qualname__ = graph.name
    parameter, keyword = inspect.Parameter, inspect.Parameter.KEYWORD_ONLY
    defaults = [parameter(name, keyword, default=Model(str(leaf.ref))) for name, leaf in named.items()]
    _traced.__signature__ = inspect.Signature(defaults)  # type: ignore[attr-defined]
    _traced.__annotations__ = {}
    return Pipeline(_traced, kind="serving", publishes=Service(graph.name))


def with_service(graph: Graph, service: Service, signatures: Mapping[str, Known]) -> Graph:
    """Return the graph of such a pipeline with what its steps need to know of the versions that it was given.

    Args:
        graph: Its inputs are looked up.
        service: What is published.
        signatures: Of the models, by ``name@number``.

    Raises:
        ProjectError: What serves is not installed.
    """
    if find_spec("msgspec") is None:
        raise ProjectError(
            f"The service {service.ref.name!r} cannot be published.",
            why="What serves models is not installed here.",
            do="pip install 'filiera[serve]'",
        )
    package, contract = graph.nodes
    models: Mapping[str, Known] = contract.arguments["models"]
    versions = {reference: known.origin for reference, known in models.items()}
    contents = {known.origin: known.artifact.digest for known in models.values()}
    promised = {reference: signatures[version] for reference, version in versions.items()}
    package = replace(package, arguments={**package.arguments, "versions": versions, "contents": contents})
    contract = replace(contract, arguments={**contract.arguments, "signatures": promised, "versions": versions})
    publication = Publication(
        kind="service",
        name=service.ref.name,
        artifact=OutputRef(package.name, 0),
        description=OutputRef(contract.name, 1),
        attachments={"signature": OutputRef(contract.name, 0), "code": OutputRef(package.name, 1)},
    )
    return replace(graph, nodes=(package, contract), publication=publication)


def _parameters(graph: ServingGraph) -> dict[str, Leaf]:
    """Return the models of a graph by names that parameters can have."""
    found: dict[str, Leaf] = {}
    for leaf in leaves(graph.node):
        name = re.sub(r"\W", "_", leaf.ref.name)
        count = sum(other.partition("__")[0] == name for other in found)
        found[f"{name}__{count + 1}" if count else name] = leaf
    return found
