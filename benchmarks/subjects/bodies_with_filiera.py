"""Serves the model with all that a service does; the folder of its prediction log (``-``: none), the port."""

import sys
from pathlib import Path

from bodies_model import COLUMNS, fitted

from filiera.adapters.prediction_segments import SegmentLog
from filiera.core.signature import Field, Output, Signature
from filiera.serving.app import App
from filiera.serving.endpoint import Endpoint
from filiera.serving.model_mount import ModelMount
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


def build():
    """Return the app."""
    log = None if sys.argv[1] == "-" else SegmentLog(Path(sys.argv[1]))
    model = ServedModel("m", fitted(), version=1, signature=SIGNATURE, log=log)
    return App([ModelMount(Endpoint(model))])


serve(build, host="127.0.0.1", port=int(sys.argv[2]), on_ready=lambda _: print("ready", flush=True))
