"""ONNX models as models that can be published: with names of columns, and of classes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.answers import Label, plain_label

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


@dataclass(frozen=True, kw_only=True)
class OnnxModel:
    """A graph that ONNX Runtime runs, on one thread, with what estimators have; made by ``from_onnx``.

    Has ``predict`` and, if there are classes, ``predict_proba`` and ``classes_``.
    """

    graph: Any  #: an ``onnx.ModelProto``
    feature_names_in_: tuple[str, ...]
    labels: tuple[Label, ...] = ()  #: in the order of the graph's probabilities; none: it predicts numbers

    def predict(self, rows: pl.DataFrame) -> Any:
        """Return the most probable label, or the number, for each of *rows*, shape ``(n,)``."""
        outputs = self._run(rows)
        if self.labels:
            return np.asarray(self.labels)[_probabilities(outputs, len(self.labels)).argmax(axis=1)]
        return np.asarray(outputs[0]).reshape(rows.height)

    def _predict_proba(self, rows: pl.DataFrame) -> Any:
        return _probabilities(self._run(rows), len(self.labels))

    def _run(self, rows: pl.DataFrame) -> list[Any]:
        found: list[Any] = self._session.run(None, self._fed(rows.select(self.feature_names_in_)))
        return found

    def _fed(self, rows: pl.DataFrame) -> dict[str, Any]:
        """Return the columns as the graph takes them: one input for all, or an input of shape ``(n, 1)`` for each."""
        inputs = self._session.get_inputs()
        if len(inputs) == 1:
            return {inputs[0].name: rows.to_numpy().astype(_TYPES[inputs[0].type])}
        return {each.name: rows[each.name].to_numpy().astype(_TYPES[each.type]).reshape(-1, 1) for each in inputs}

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        content = self.graph.SerializeToString(deterministic=True)
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def __getattr__(self, name: str) -> Any:
        if name == "classes_" and self.labels:
            return np.asarray(self.labels)
        if name == "predict_proba" and self.labels:
            return self._predict_proba
        raise AttributeError(f"an {type(self).__name__} has no {name!r}")


def from_onnx(graph: Any, *, features: Iterable[str], classes: Iterable[Any] = ()) -> OnnxModel:
    """Return a model that can be published, evaluated and served, of an ONNX *graph*.

    Args:
        graph: An ``onnx.ModelProto``, such as ``onnx.load(path)`` returns. It takes one matrix of all columns, or an
            input of shape ``(n, 1)`` for each column, by its name.
        features: Names of the columns, in the order of the matrix.
        classes: Labels of the probabilities, in their order; none if it predicts numbers.

    Raises:
        UsageError: The graph cannot be run, or has neither one input nor one per column.
    """
    model = OnnxModel(
        graph=graph, feature_names_in_=tuple(features), labels=tuple(plain_label(label) for label in classes)
    )
    try:
        inputs = model._session.get_inputs()
    except ImportError as error:
        raise UsageError("Running ONNX models needs onnxruntime.", do="pip install 'filiera[onnx]'") from error
    except Exception as error:
        raise UsageError("ONNX Runtime cannot run the model.", why=str(error).splitlines()[0]) from error
    names = {each.name for each in inputs}
    if (len(inputs) != 1 and names != set(model.feature_names_in_)) or {each.type for each in inputs} - set(_TYPES):
        takes = ", ".join(f"{each.name} ({each.type})" for each in inputs)
        raise UsageError(
            "The graph's inputs are not the columns.",
            why=f"It takes {takes}; the columns are {', '.join(model.feature_names_in_)}.",
            do="Export it with one input for all columns, or with one for each column by its name.",
        )
    return model


def _probabilities(outputs: list[Any], classes: int) -> Any:
    """Return the last output as a table; some converters write a dictionary per row."""
    last = outputs[-1]
    if isinstance(last, list):
        last = [list(row.values()) for row in last]
    table = np.asarray(last, dtype=np.float64)
    if table.ndim == 1 or table.shape[1] == 1:
        table = np.column_stack([1 - table.ravel(), table.ravel()])
    if table.shape[1] != classes:
        raise UsageError(f"The graph gives {table.shape[1]} probabilities for {classes} classes.")
    return table
