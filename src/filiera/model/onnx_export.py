"""A model as an ONNX graph, attached to its version only if it answers as the model does."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.booster import BoosterModel
from filiera.model.onnx import OnnxModel, from_onnx
from filiera.model.onnx_graph import canonical

TOLERANCE = 1e-4
"""Largest difference allowed between answers a and b: TOLERANCE · max(1, |b|). Graphs compute in 32 bits, of which 24
are digits: about 1e-7, more after a hundred sums."""

_OPSETS = {"": 15, "ai.onnx.ml": 3}
"""Part of what is exported: another release of the converters gives the same operators."""
_MATRIX = "columns"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What became of an export."""

    model: OnnxModel | None  #: None if the model cannot be exported, or the graph answers otherwise
    note: str  #: which of these, with the largest difference and how many rows were compared


def export_onnx(model: Any, rows: pl.DataFrame) -> Exported:
    """Return *model* as an ONNX graph that answers *rows* as the model does, or why there is none.

    Labels must be equal, probabilities and numbers differ by at most ``TOLERANCE``. Of a model with transforms, the
    graph is its estimator, which takes the transformed columns.

    Args:
        model: An estimator or pipeline of scikit-learn, XGBoost or LightGBM, or a model of this package.
        rows: Rows with the model's columns: those it was tested on, and its signature's examples.

    Raises:
        UsageError: The converters are not installed; or there are no rows.
    """
    if rows.is_empty():
        raise UsageError("There are no rows to compare the exported model on.")
    prepare = getattr(model, "prepare", None)
    if callable(prepare):
        return export_onnx(model.estimator, prepare(rows))
    if hasattr(model, "classes_") and not hasattr(model, "predict_proba"):
        return Exported(model=None, note="not exported: it has labels without probabilities")
    table = rows.select([str(name) for name in model.feature_names_in_])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of converters, about the libraries that they convert from
            graph = _graph_of(model, table)
        exported = from_onnx(graph, features=table.columns, classes=getattr(model, "classes_", ()))
        difference, wrong = _differences(model, exported, table)
    except ImportError as error:
        raise UsageError(f"Exporting to ONNX needs {error.name}.", do="pip install 'filiera[onnx]'") from error
    except Exception as error:  # noqa: BLE001 - converters and what they make raise whatever they like
        return Exported(model=None, note=f"not exported: {_first_line(error)}")
    told = f"largest difference {difference:.2g} on {table.height:,} rows, {TOLERANCE:g} allowed"
    if wrong or not difference <= TOLERANCE:
        labels = f"; {wrong:,} labels differ" if wrong else ""
        return Exported(model=None, note=f"not attached, it answers otherwise: {told}{labels}")
    return Exported(model=exported, note=f"attached: {told}")


def _graph_of(model: Any, table: pl.DataFrame) -> Any:
    if isinstance(model, OnnxModel):
        return model.graph
    if isinstance(model, BoosterModel):
        return _booster_graph(model, len(table.columns))
    from skl2onnx import convert_sklearn

    _register_boosters()
    nameless = _without_names(model)
    options = {id(nameless): {"zipmap": False}} if hasattr(model, "classes_") else None
    graph = convert_sklearn(
        nameless, name="model", initial_types=_inputs(nameless, table), options=options, target_opset=_OPSETS
    )
    return canonical(graph)


def _booster_graph(model: BoosterModel, width: int) -> Any:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    inputs = [(_MATRIX, FloatTensorType([None, width]))]
    settings = {"name": "model", "initial_types": inputs, "target_opset": _OPSETS[""]}
    if type(model.booster).__module__.startswith("lightgbm."):
        return canonical(onnxmltools.convert_lightgbm(model.booster, zipmap=False, **settings))
    booster = model.booster.copy()
    booster.feature_names = None  # the converter takes no names but f0, f1, …
    return canonical(onnxmltools.convert_xgboost(booster, **settings))


def _inputs(model: Any, table: pl.DataFrame) -> list[tuple[str, Any]]:
    """Return one matrix as input, or an input for each column when the model picks columns by their names."""
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    first = model.steps[0][1] if isinstance(getattr(model, "steps", None), list) else model
    if not hasattr(first, "transformers"):
        return [(_MATRIX, FloatTensorType([None, table.width]))]
    kinds = {pl.String: StringTensorType, pl.Categorical: StringTensorType, pl.Enum: StringTensorType}
    return [
        (name, (Int64TensorType if kind.is_integer() else kinds.get(type(kind), FloatTensorType))([None, 1]))
        for name, kind in table.schema.items()
    ]


def _without_names(model: Any) -> Any:
    """Return the model, its last step without names of columns if it is a booster's: converters know f0, f1, … only."""
    last = model.steps[-1][1] if isinstance(getattr(model, "steps", None), list) else model
    if not type(last).__module__.startswith("xgboost."):
        return model
    copied = copy.deepcopy(model)
    last = copied.steps[-1][1] if copied is not last and hasattr(copied, "steps") else copied
    last.get_booster().feature_names = None
    return copied


def _register_boosters() -> None:
    """Tell the converter of pipelines how to convert estimators of XGBoost and LightGBM, as far as these are loaded."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes as classifier_shapes,
    )
    from skl2onnx.common.shape_calculator import (
        calculate_linear_regressor_output_shapes as regressor_shapes,
    )

    for library, prefix, converter in _boosters():
        for name, shapes in ((f"{prefix}Classifier", classifier_shapes), (f"{prefix}Regressor", regressor_shapes)):
            options: dict[str, Any] = {}
            if shapes is classifier_shapes:
                options = {"zipmap": [True, False], "nocl": [True, False]}
            if library == "lightgbm":
                options["split"] = None
            kind = getattr(sys.modules[library], name)
            update_registered_converter(kind, name, shapes, converter, options=options, overwrite=True)


def _boosters() -> Iterator[tuple[str, str, Any]]:
    """Yield library, prefix of its estimators, and their converter: importing that needs the library."""
    if "xgboost" in sys.modules:
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

        yield "xgboost", "XGB", convert_xgboost
    if "lightgbm" in sys.modules:
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

        yield "lightgbm", "LGBM", convert_lightgbm


def _differences(model: Any, exported: OnnxModel, table: pl.DataFrame) -> tuple[float, int]:
    """Return the largest difference between numbers, as a share of numbers above 1, and how many labels differ."""
    ours, theirs = np.asarray(model.predict(table)), np.asarray(exported.predict(table))
    if not exported.labels:
        return _largest(ours, theirs), 0
    wrong = int((ours != theirs).sum())
    return _largest(np.asarray(model.predict_proba(table)), np.asarray(exported.predict_proba(table))), wrong


def _largest(ours: Any, theirs: Any) -> float:
    return float(np.max(np.abs(theirs - ours) / np.maximum(1, np.abs(ours)), initial=0.0))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"
