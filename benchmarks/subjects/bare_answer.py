"""The least that answers a body: msgspec and ONNX Runtime, without a check of values, a log, or a count."""

import json
import sys
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime

NAME, PORT = sys.argv[1], int(sys.argv[2])
ABOUT = json.loads(Path(f"{NAME}.json").read_text(encoding="utf-8"))
KINDS = {"string": (str, object), "int64": (int, np.int64), "float64": (float, np.float32)}
Row = msgspec.defstruct(
    "Row", [(name, KINDS[kind][0]) for name, kind in zip(ABOUT["features"], ABOUT["types"], strict=True)]
)
Request = msgspec.defstruct("Request", [("instances", list[Row])])
DECODER = msgspec.json.Decoder(Request)
OPTIONS = onnxruntime.SessionOptions()
OPTIONS.intra_op_num_threads = OPTIONS.inter_op_num_threads = 1
SESSION = onnxruntime.InferenceSession(f"{NAME}.onnx", OPTIONS, providers=["CPUExecutionProvider"])
INPUTS = [each.name for each in SESSION.get_inputs()]
OUTPUT = [SESSION.get_outputs()[-1].name]
TYPES = [KINDS[kind][1] for kind in ABOUT["types"]]


def predict(rows):
    """Return the probabilities of each row."""
    if len(INPUTS) == 1:
        feed = {INPUTS[0]: np.array([msgspec.structs.astuple(row) for row in rows], dtype=np.float32)}
    else:
        columns = zip(INPUTS, TYPES, zip(*map(msgspec.structs.astuple, rows), strict=True), strict=True)
        feed = {name: np.array(column, dtype=kind).reshape(-1, 1) for name, kind, column in columns}
    return SESSION.run(OUTPUT, feed)[0]


def answer(body):
    """Return the body of the answer to a body."""
    labels = ABOUT["labels"]
    answers = [
        {"label": labels[row.argmax()], "probabilities": dict(zip(labels, row.tolist(), strict=True))}
        for row in predict(DECODER.decode(body).instances)
    ]
    return msgspec.json.encode({"predictions": answers})


async def app(scope, receive, send):
    """Answer one request."""
    chunks = []
    while True:
        message = await receive()
        chunks.append(message["body"])
        if not message["more_body"]:
            break
    body = answer(b"".join(chunks))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
