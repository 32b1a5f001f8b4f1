"""PyTorch modules as models that can be published: with names of columns, and of classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.answers import Label, plain_label


@dataclass(frozen=True, kw_only=True, slots=True)
class TorchModel:
    """A module that takes a matrix of 32-bit floats, with what estimators have; made by ``from_torch``.

    Has ``predict`` and, if there are classes, ``predict_proba`` and ``classes_``.
    """

    module: Any  #: a ``torch.nn.Module``, in the state for answering
    feature_names_in_: tuple[str, ...]
    labels: tuple[Label, ...] = ()  #: in the order of the module's outputs; none: it predicts numbers

    def predict(self, rows: pl.DataFrame) -> Any:
        """Return the most probable label, or the number, for each of *rows*, shape ``(n,)``."""
        if self.labels:
            return np.asarray(self.labels)[self._probabilities(rows).argmax(axis=1)]
        return self._outputs(rows).reshape(rows.height)

    def _probabilities(self, rows: pl.DataFrame) -> Any:
        scores = self._outputs(rows).astype(np.float64).reshape(rows.height, -1)
        if scores.shape[1] == 1:
            scores = np.column_stack([np.zeros(rows.height), scores])
        if scores.shape[1] != len(self.labels):
            raise UsageError(f"The module gives {scores.shape[1]} scores for {len(self.labels)} classes.")
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def _outputs(self, rows: pl.DataFrame) -> Any:
        import torch

        table = np.ascontiguousarray(rows.select(self.feature_names_in_).to_numpy(), dtype=np.float32)
        with torch.inference_mode():
            return self.module(torch.tensor(table)).numpy()

    def __getattr__(self, name: str) -> Any:
        if name == "classes_" and self.labels:
            return np.asarray(self.labels)
        if name == "predict_proba" and self.labels:
            return self._probabilities
        raise AttributeError(f"a {type(self).__name__} has no {name!r}")


def from_torch(module: Any, *, features: Iterable[str], classes: Iterable[Any] = ()) -> TorchModel:
    """Return a model that can be published, evaluated and served, of a *module*, which is moved to the CPU.

    Args:
        module: A ``torch.nn.Module`` made of ``torch.nn``'s own classes, such as ``Sequential``; services do not load
            classes of a project. It takes a matrix of 32-bit floats and returns a number per row; or, with classes, a
            score per row and class before softmax, or one score per row for the second of two classes before sigmoid.
        features: Names of the columns, in the order of the matrix.
        classes: Labels of the scores, in their order; none if it predicts numbers.

    Raises:
        UsageError: It is no module.
    """
    if not all(callable(getattr(module, name, None)) for name in ("eval", "forward", "cpu")):
        raise UsageError(f"A {type(module).__name__} is no torch.nn.Module.", do="Give the module that was trained.")
    labels = tuple(plain_label(label) for label in classes)
    return TorchModel(module=module.cpu().eval(), feature_names_in_=tuple(features), labels=labels)
