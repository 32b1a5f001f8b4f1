"""What is added to the graph of a pipeline that publishes a model: gates, what they look at, and publishing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from filiera.core.fit import ONNX_NOTE
from filiera.core.graph import Future, Graph, Known, Late, Node, OutputRef, Publication
from filiera.core.products import Model
from filiera.core.types import fits
from filiera.errors import GraphError
from filiera.project.assemble import Lookups, free, is_table, what
from filiera.project.rivals import RIVAL, RIVAL_REFERENCE


def with_model(graph: Graph, model: Model, lookups: Lookups, of_columns: Mapping[str, Any]) -> Graph:
    """Return the graph with its gate and publishing; *of_columns* is what the datasets say of their columns.

    Raises:
        GraphError: What the function returns cannot be published, or something it needs is not installed.
    """
    from filiera.project import builtin

    fitted, evaluation = _model_and_evaluation(graph, model)
    if model.onnx:
        _require_converters(model)
    rival = Late((fitted, evaluation), lambda made: lookups.rivals.evaluation(model.ref.name, *made))
    gate = Node(
        name="gate",
        step=builtin.gate,
        stage="gate",
        arguments={
            "gates": model.gates,
            "evaluation": evaluation,
            "champion": rival if any(gate.compares for gate in model.gates) else None,
            **_beside_gates(graph, model, (fitted, evaluation), lookups),
        },
    )
    publish = Node(
        name="publish",
        step=builtin.publish_model,
        stage="publish",
        arguments={
            "model": fitted,
            "training": _training_table(graph, fitted),
            "evaluated": _table_into(graph, evaluation),
            "evaluation": evaluation,
            "verdict": OutputRef("gate", 0),
            **({} if model.contract is None else {"contract": model.contract}),
            **of_columns,
        },
    )
    timing: tuple[Node, ...] = ()
    if "timed" in gate.arguments:
        arguments = {"model": fitted, "evaluated": gate.arguments["evaluated"]}
        timing = (Node(name=TIMING, step=builtin.time_model, stage="evaluate", arguments=arguments),)
    export: tuple[Node, ...] = ()
    if model.onnx:
        wanted = {name: publish.arguments[name] for name in ("model", "training", "evaluated")}
        arguments = {**wanted, "signature": OutputRef("publish", 0)}
        export = (Node(name=EXPORT, step=builtin.export_model, stage="publish", arguments=arguments),)
    added = (*timing, gate, publish, *export)
    nodes = (*free(graph, *(node.name for node in added)), *added)
    return replace(graph, nodes=nodes, publication=_publication(model, (fitted, evaluation), gate))


def _publication(model: Model, made: tuple[OutputRef, OutputRef], gate: Node) -> Publication:
    """Return what is published: the model, and what is kept with it."""
    fitted, evaluation = made
    return Publication(
        kind="model",
        name=model.ref.name,
        artifact=fitted,
        description=OutputRef("publish", 2),
        attachments={
            "signature": OutputRef("publish", 0),
            "reference": OutputRef("publish", 1),
            "fit": OutputRef("publish", 3),
            **({"onnx": OutputRef(EXPORT, 0), ONNX_NOTE: OutputRef(EXPORT, 1)} if model.onnx else {}),
            "evaluation": evaluation,
            "gates": OutputRef("gate", 0),
            RIVAL: OutputRef("gate", 1),
            **({RIVAL_REFERENCE: OutputRef("gate", 2)} if "reference" in gate.arguments else {}),
        },
    )


def _require_converters(model: Model) -> None:
    """Refuse at once what the last step would refuse after hours of training. Raises GraphError."""
    from importlib.util import find_spec

    missing = [name for name in ("onnx", "onnxruntime", "skl2onnx", "onnxmltools") if find_spec(name) is None]
    if missing:
        raise GraphError(
            f"{model!r} is to be exported to ONNX, which needs {', '.join(missing)}.",
            do="pip install 'filiera[onnx]'",
        )


EXPORT = "export_onnx"
"""The name of the step that makes the model an ONNX graph."""
TIMING = "time_model"
"""The name of the step that measures ``predict_ms``."""
_UNSUPERVISED = ("clustering", "anomaly_detection")


def _beside_gates(graph: Graph, model: Model, made: tuple[OutputRef, OutputRef], lookups: Lookups) -> dict[str, Any]:
    """Return what gates are given beside the evaluations."""
    from filiera.project.gating import EVALUATION_DRIFT, MODEL_MB

    fitted, evaluation = made
    wanted = {gate.metric for gate in model.gates}
    beside: dict[str, Any] = {}
    evaluated = _table_into(graph, evaluation)
    if evaluated is not None:
        beside["evaluated"] = evaluated
        # Cross-validation evaluates other models, each fitted without the rows it is asked about.
        if model.task not in _UNSUPERVISED and _comes_from(graph, evaluation.node, fitted.node):
            beside |= {"training": _training_table(graph, fitted), "may_share": model.may_share_rows}
    if model.task is not None:
        beside["task"] = model.task
    if waivers := lookups.waivers(model):
        beside["waivers"] = waivers
    if "predict_ms" in wanted and evaluated is not None:
        beside["timed"] = OutputRef(TIMING, 0)
    if MODEL_MB in wanted:
        beside["size"] = Late((fitted,), lambda refs: lookups.rivals.size(refs[0]))
    if EVALUATION_DRIFT in wanted:
        beside["reference"] = Late((fitted, evaluation), lambda refs: lookups.rivals.reference(model.ref.name, *refs))
    return beside


def _comes_from(graph: Graph, node: str, origin: str) -> bool:
    """Tell whether a node needs, directly or not, what another one makes."""
    needs = {each.name: each.upstream for each in graph.nodes}
    waiting, seen = [node], set()
    while waiting:
        name = waiting.pop()
        if name == origin:
            return True
        if name not in seen:
            seen.add(name)
            waiting += needs.get(name, ())
    return False


def _model_and_evaluation(graph: Graph, model: Model) -> tuple[OutputRef, OutputRef]:
    from filiera.core.evaluation import Evaluation
    from filiera.core.metric import Metrics

    result = graph.result
    match result:
        case (OutputRef() as fitted, OutputRef() as found) if fits(found.type, Evaluation | Metrics):
            return fitted, found
    raise GraphError(
        f"Pipeline {graph.pipeline!r} publishes {model!r} but returns {what(result)}.",
        why="A model is published with the metrics that its gates decide on.",
        do="Return the fitted model and its Evaluation, or bare Metrics: return model, evaluate(model, test_rows)",
    )


def _training_table(graph: Graph, fitted: OutputRef) -> Future:
    table = _table_into(graph, fitted)
    if table is None:
        raise GraphError(
            f"Step {fitted.node!r} returns the model but takes no table.",
            why="The model's signature and reference profile are made from the table it was trained on.",
            do="Annotate the training table: def fit(rows: pl.DataFrame, …).",
        )
    return table


def _table_into(graph: Graph, made: OutputRef) -> Future | None:
    """Return the first table that goes into the step that made a value."""
    node = next(node for node in graph.nodes if node.name == made.node)
    for name, value in node.arguments.items():
        if isinstance(value, OutputRef | Known) and is_table(node.step.hints.get(name, Any)):
            return value
    return None
