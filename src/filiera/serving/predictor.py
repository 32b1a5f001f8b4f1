"""From typed columns to answers, for any object with ``predict`` and, for probabilities, ``predict_proba``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from filiera.core.signature import Output, Signature
from filiera.errors import FilieraError
from filiera.serving.batch import Batch, Outputs

if TYPE_CHECKING:
    import numpy as np


class PredictionFailed(FilieraError):
    """The model raised, or gave something that its signature does not promise."""


class Predicts(Protocol):
    """Answers batches; one call at a time."""

    is_brief: bool  #: does nothing but compute, so that how long it took says how long it will take
    runtime: str  #: what computes

    def predict(self, batch: Batch) -> Outputs:
        """Return one array per output, with an entry per row. Raises PredictionFailed."""


class Predictor:
    """Answers with one model, in the library that it is of, as its signature promises."""

    is_brief = False  # it is anybody's code, which may wait for whatever it likes

    def __init__(self, model: Any, signature: Signature) -> None:
        """Check that *model* can give what *signature* promises. Raises PredictionFailed when it cannot."""
        self._outputs = signature.outputs
        self._columns = _columns_of(model, signature)
        self._prepare, self._last = _split(model)
        self.runtime = type(self._last).__module__.partition(".")[0]  #: the library that answers
        _check_methods(model, signature.outputs)

    def predict(self, batch: Batch) -> Outputs:
        """Return one array per output of the signature, each with one entry per row of *batch*, in its order.

        Raises:
            PredictionFailed: From whatever the model raised; or the answers are too few, too many or not finite.
        """
        try:
            ready = self._prepare(self._ready(batch))
            outputs = tuple(self._output(output, ready) for output in self._outputs)
        except (Exception, SystemExit) as error:
            raise PredictionFailed("The model failed to predict.", why=f"It raised {type(error).__name__}.") from error
        return checked(outputs, batch.height)

    def _ready(self, batch: Batch) -> Any:
        """Return the rows as the model was fitted on them: a table, or an array without names."""
        if self._columns is not None:
            return batch.frame().select(self._columns)
        if all(field.type == "float64" for field in batch.fields):
            import numpy as np

            return np.require(batch.matrix(), requirements="W")  # some models write where they read
        return batch.frame().to_numpy()

    def _output(self, output: Output, ready: Any) -> np.ndarray[Any, Any]:
        import numpy as np

        method = self._last.predict_proba if output.semantics == "probability" else self._last.predict
        values = np.asarray(method(ready))
        return values.astype(np.float64, copy=False) if output.type in ("float32", "float64") else values


def checked(outputs: Outputs, height: int) -> Outputs:
    """Return *outputs*, of *height* rows. Raises PredictionFailed for too few, too many, or numbers not finite."""
    import numpy as np

    for values in outputs:
        if len(values) != height:
            raise PredictionFailed("The model failed to predict.", why="It did not give one answer per row.")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise PredictionFailed("The model failed to predict.", why="An answer is not a finite number.")
    return outputs


def _columns_of(model: Any, signature: Signature) -> list[str] | None:
    """Return the columns in the order of fitting, or None for a model fitted on arrays without names."""
    given = [field.name for field in signature.inputs]
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return None if hasattr(model, "n_features_in_") else given
    missing = [str(name) for name in names if name not in given]
    if missing:
        raise PredictionFailed(
            "The model and its signature disagree.", why=f"The model needs columns the signature lacks: {missing}."
        )
    return [str(name) for name in names]


def _split(model: Any) -> tuple[Callable[[Any], Any], Any]:
    """Return what comes before a pipeline's last step, and that step: label and probabilities share the first part.

    A model that has ``prepare`` is an ``estimator`` with transforms before it.
    """
    prepare = getattr(model, "prepare", None)
    if callable(prepare):
        further, last = _split(model.estimator)
        return (lambda rows: further(prepare(rows))), last
    steps = getattr(model, "steps", None)
    if not isinstance(steps, list) or len(steps) < 2:
        return (lambda frame: frame), model
    return model[:-1].transform, steps[-1][1]


def _check_methods(model: Any, outputs: Iterable[Output]) -> None:
    for output in outputs:
        method = "predict_proba" if output.semantics == "probability" else "predict"
        if not hasattr(model, method):
            why = f"Output {output.name!r} needs {method}, which the model does not have."
            raise PredictionFailed("The model and its signature disagree.", why=why)
        classes = getattr(model, "classes_", None)
        if output.semantics == "probability" and classes is not None and list(classes) != list(output.labels):
            why = f"The labels of output {output.name!r} are not the model's, or not in its order."
            raise PredictionFailed("The model and its signature disagree.", why=why)
