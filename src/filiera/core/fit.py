"""What a fitted model tells of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from filiera.core.value import dataclass

ONNX_NOTE = "onnx note"
"""The attachment of a version that says what became of its model's export to ONNX."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How a model was fitted, as the model itself tells it."""

    estimator: str  #: class: "module:qualified.name"; of a pipeline, of its last step
    parameters: Mapping[str, Any] = field(
        default_factory=dict
    )  #: as ``get_params`` names them; what is not plain: its class
    chosen: tuple[str, ...] = ()  #: names of the parameters that are not at their defaults
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  #: a value per iteration, such as "loss"
    importances: Mapping[str, float] = field(
        default_factory=dict
    )  #: by feature, the greatest first; the model's own scale
