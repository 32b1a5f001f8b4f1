"""Answers with ONNX Runtime: for models whose graph was proven to answer as they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from filiera.core.signature import Signature
from filiera.core.value import dataclass
from filiera.errors import FilieraError
from filiera.serving.batch import Batch, Outputs
from filiera.serving.domain import INTEGER_RANGES
from filiera.serving.predictor import PredictionFailed, checked

_TYPES: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}
_FLOATS = ("tensor(float)", "tensor(double)")
_NUMBERS = frozenset({"bool", "float32", "float64", *INTEGER_RANGES})


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxGraph:
    """A model as an ONNX graph."""

    content: bytes  #: a serialised ``ModelProto`` that names no other files
    features: tuple[str, ...]  #: names of the columns, in the order of the graph's matrix
    labels: tuple[str | int | bool, ...] = ()  #: in the order of the graph's probabilities; none: it predicts numbers


class OnnxPredictor:
    """Answers with one graph as a signature promises, on one thread."""

    runtime = "ONNX Runtime"
    is_brief = True

    def __init__(self, graph: OnnxGraph, signature: Signature) -> None:
        """Load the graph. Raises PredictionFailed when it cannot be run or does not fit the signature."""
        self._outputs = signature.outputs
        self._labels = np.asarray(graph.labels) if graph.labels else None
        positions = {field.name: index for index, field in enumerate(signature.inputs)}
        missing = [name for name in graph.features if name not in positions]
        promised = [output.labels for output in signature.outputs if output.semantics == "probability"]
        if missing or any(labels != graph.labels for labels in promised):
            why = f"The graph needs columns the signature lacks: {missing}." if missing else "Their labels differ."
            raise PredictionFailed("The ONNX graph and the signature disagree.", why=why)
        self._session = _session(graph.content)
        self._output = [self._session.get_outputs()[-1 if graph.labels else 0].name]
        inputs = self._session.get_inputs()
        if len(inputs) == 1:
            self._feed = _one_matrix(inputs[0], [positions[name] for name in graph.features], len(positions))
        else:
            kinds = [field.type for field in signature.inputs]
            self._feed = _by_column([(each.name, each.type, positions[each.name]) for each in inputs], kinds)

    def predict(self, batch: Batch) -> Outputs:
        """Return one array per output of the signature, each with one entry per row of *batch*, in its order.

        Raises:
            PredictionFailed: From whatever the runtime raised; or the answers are too few, too many or not finite.
        """
        try:
            found = self._session.run(self._output, self._feed(batch))[0]
            if self._labels is None:
                values = np.asarray(found, dtype=np.float64).reshape(batch.height)
                return checked(tuple(values for _ in self._outputs), batch.height)
            table = _table(found, len(self._labels))
            each = (
                table if output.semantics == "probability" else self._labels[table.argmax(axis=1)]
                for output in self._outputs
            )
            return checked(tuple(each), batch.height)
        except FilieraError:
            raise
        except Exception as error:
            raise PredictionFailed("The model failed to predict.", why=f"It raised {type(error).__name__}.") from error


def _session(content: bytes) -> Any:
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Requests come in batches of few rows, one at a time: a second thread costs more than it brings.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        why = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
        raise PredictionFailed("ONNX Runtime cannot run the graph.", why=why) from error


def _one_matrix(taken: Any, places: list[int], width: int) -> Callable[[Batch], dict[str, Any]]:
    name, kind = taken.name, _TYPES[taken.type]
    order = None if places == list(range(width)) else places
    return lambda batch: {name: batch.matrix(order).astype(kind, copy=False)}


def _by_column(inputs: list[tuple[str, str, int]], kinds: Sequence[str]) -> Callable[[Batch], dict[str, Any]]:
    """Return what feeds an input of shape ``(n, 1)`` for each column: floats by way of one matrix, which is quicker."""
    floats = [each for each in inputs if each[1] in _FLOATS and kinds[each[2]] in _NUMBERS]
    rest = [each for each in inputs if each not in floats]
    places = [place for _, _, place in floats]
    used = {kind for _, kind, _ in floats}

    def feed(batch: Batch) -> dict[str, Any]:
        fed: dict[str, Any] = {}
        if floats:
            columns = batch.matrix(places).T
            by_type = {kind: np.ascontiguousarray(columns, dtype=_TYPES[kind])[:, :, None] for kind in used}
            fed = {name: by_type[kind][index] for index, (name, kind, _) in enumerate(floats)}
        for name, kind, place in rest:
            fed[name] = np.asarray(batch.column(place), dtype=_TYPES[kind]).reshape(-1, 1)
        return fed

    return feed


def _table(found: Any, labels: int) -> np.ndarray[Any, Any]:
    """Return probabilities as float64, shape ``(n, labels)``; some converters write a dictionary per row."""
    if isinstance(found, list):
        found = [list(row.values()) for row in found]
    table = np.asarray(found, dtype=np.float64)
    if table.ndim == 1 or table.shape[1] == 1:
        table = np.column_stack([1 - table.ravel(), table.ravel()])
    if table.shape[1] != labels:
        raise ValueError(f"{table.shape[1]} probabilities for {labels} labels")
    return table
