"""Serves the model with all that a service does, as a published one is served: as a graph, where that answers alike.

python bodies_with_filiera.py LOG-FOLDER|- PORT
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
from bodies_model import COLUMNS, fitted

from filiera.adapters.prediction_segments import SegmentLog
from filiera.core.signature import Field, Output, Signature
from filiera.model.onnx_export import export_onnx
from filiera.serving.app import App
from filiera.serving.endpoint import Endpoint
from filiera.serving.model_mount import ModelMount
from filiera.serving.onnx_predictor import OnnxGraph, OnnxPredictor
from filiera.serving.served_model import ServedModel
from filiera.serving.server import serve

SIGNATURE = Signature(
    task="classification",
    inputs=tuple(Field(name=name, type="float64", minimum=-100, maximum=100) for name in COLUMNS),
    outputs=(
        Output(name="label", type="bool", semantics="label", labels=(False, True)),
        Output(name="probability", type="float64", semantics="probability", labels=(False, True)),
    ),
    examples=(dict.fromkeys(COLUMNS, 0.5),) * 5,
)


def graph():
    """Return what predicts."""
    model = fitted()
    model[0].feature_names_in_ = model[-1].feature_names_in_ = np.array(COLUMNS, dtype=object)
    rows = pl.DataFrame(np.random.default_rng(2).normal(size=(100, len(COLUMNS))), schema=COLUMNS)
    exported = export_onnx(model, rows)
    if exported.model is None:
        raise SystemExit(exported.note)
    content = OnnxGraph(content=exported.model.graph.SerializeToString(), features=tuple(COLUMNS), labels=(False, True))
    return OnnxPredictor(content, SIGNATURE)


def build():
    """Return the app."""
    log = None if sys.argv[1] == "-" else SegmentLog(Path(sys.argv[1]))
    model = ServedModel("m", graph(), version=1, signature=SIGNATURE, log=log)
    return App([ModelMount(Endpoint(model))])


serve(build, host="127.0.0.1", port=int(sys.argv[2]), on_ready=lambda _: print("ready", flush=True))
