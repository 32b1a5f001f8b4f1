"""MLServer in its best mode here: adaptive batches of up to 32, waiting a millisecond, in one process.

    python serve_mlserver.py NAME PORT

A model whose columns are all numbers takes one tensor; another one takes a tensor per column.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import polars as pl
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from served_files import Files


class Model(MLModel):
    """Answers tensors with probabilities of the labels."""

    async def load(self) -> bool:
        """Load the model."""
        self.files = Files(os.environ["SERVED"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer all rows at once."""
        found = self.files.model.predict_proba(self._table(payload))
        output = NumpyCodec.encode_output("probabilities", found)
        return InferenceResponse(model_name=self.name, outputs=[output])

    def _table(self, payload):
        if len(payload.inputs) == 1:
            return NumpyCodec.decode_input(payload.inputs[0])
        return pl.DataFrame({each.name: self._column(each) for each in payload.inputs})

    def _column(self, tensor):
        if tensor.datatype == "BYTES":
            return StringCodec.decode_input(tensor)
        return np.asarray(NumpyCodec.decode_input(tensor)).reshape(-1)


if __name__ == "__main__":
    name, port = sys.argv[1:3]
    folder = Path(f"mlserver-{name}")
    folder.mkdir(exist_ok=True)
    about = {"name": name, "implementation": "serve_mlserver.Model", "max_batch_size": 32, "max_batch_time": 0.001}
    (folder / "model-settings.json").write_text(json.dumps(about), encoding="utf-8")
    ports = {"http_port": int(port), "grpc_port": int(port) + 20_000, "metrics_port": int(port) + 10_000}
    settings = {**ports, "host": "127.0.0.1", "parallel_workers": 0, "debug": False}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    os.environ["SERVED"] = name
    os.environ["PYTHONPATH"] = str(Path.cwd())
    os.execv(Path(sys.executable).with_name("mlserver"), ["mlserver", "start", str(folder)])
