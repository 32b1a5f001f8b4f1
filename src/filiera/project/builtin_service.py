"""The steps that a serving graph has as a pipeline: packing what it is made of, and settling its contract."""

from __future__ import annotations

from typing import Any

from filiera.core.graphs import ServingGraph, leaves
from filiera.core.package import Code, Package, functions_of, write_graph
from filiera.core.plain import name_of
from filiera.core.signature import Signature
from filiera.core.step import step


@step(stage="package")
def package(
    graph: ServingGraph, versions: dict[str, str] | None = None, contents: dict[str, str] | None = None
) -> tuple[Package, Code]:
    """Return a graph with all that its answers depend on, and the text of its functions' modules.

    *versions* says which version answers for each model that the graph names, *contents* the digest of each.
    """
    from filiera.core.closure import closures_of
    from filiera.project.code import ProjectCode
    from filiera.project.packed_code import pack
    from filiera.project.surroundings import project_root

    root = project_root()
    functions = {name_of(function): function for function in functions_of(graph.node)}
    is_project = ProjectCode(root).is_project
    closures = closures_of(functions.values(), is_project=is_project)
    packed = Package(
        graph=write_graph(graph.node),
        models=versions or {},
        contents=contents or {},
        functions={name: closure.digest for name, closure in zip(functions, closures, strict=True)},
    )
    modules = dict.fromkeys(function.__module__ for function in functions.values())
    return packed, pack(filter(is_project, modules), root)


@step(stage="contract")
def contract(
    graph: ServingGraph,
    models: dict[str, Any],
    signatures: dict[str, Signature] | None = None,
    versions: dict[str, str] | None = None,
) -> tuple[Signature, dict[str, Any]]:
    """Return the signature of a graph over *models*, after it has answered its own examples, and a description.

    Raises:
        GraphError: Its parts do not fit.
        FilieraError: It does not answer its examples.
    """
    from filiera.serving.graph_build import build
    from filiera.serving.graph_predictor import Member
    from filiera.serving.predictor import Predictor
    from filiera.serving.served_model import ServedModel

    promised, shown = signatures or {}, versions or {}
    members = {
        reference: Member(
            name=reference.partition("@")[0],
            signature=promised[reference],
            predictor=Predictor(model, promised[reference]),
        )
        for reference, model in models.items()
    }
    predictor, signature = build(graph, lambda leaf: members[str(leaf.ref)])
    ServedModel(graph.name, predictor, version=1, signature=signature).warm_up()
    print(f"{len(signature.examples)} examples answered")
    functions = dict.fromkeys(function.__name__ for function in functions_of(graph.node))
    return signature, {
        "task": signature.task,
        "models": [shown[str(leaf.ref)] for leaf in leaves(graph.node)],
        "functions": list(functions),
        "inputs": len(signature.inputs),
        "signature": signature.hash,
    }
