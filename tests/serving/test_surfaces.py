"""One model, one set of rows, every surface: the same answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from filiera.adapters.prediction_segments import SegmentLog
from filiera.serving.app import App
from filiera.serving.arrow_bodies import MEDIA_TYPE
from filiera.serving.in_process import InProcess
from filiera.serving.served_model import ServedModel
from filiera.serving.table_mode import ModelHere, predict_table
from tests.serving import inference, test_oip_grpc
from tests.serving.offers import GOOD, SIGNATURE, Sums, post, post_bytes, service
from tests.serving.test_arrow_bodies import stream
from tests.serving.test_oip_routes import infer, values

ROWS = [
    GOOD,
    {**GOOD, "duration": 90, "rate": None},
    {"duration": 32_767, "protocol": "icmp", "rate": 1.0, "user": "Zoë \0 🙂"},
    {"duration": 0, "protocol": "udp", "rate": 1e-300, "user": ""},
]
TENSORS = inference.tensors_of(SIGNATURE, ROWS)
Answers = list[tuple[str, list[float]]]


def of_records(predictions: Any) -> Answers:
    return [(each["label"], list(each["probabilities"].values())) for each in predictions]


def of_tensors(found: dict[str, Any]) -> Answers:
    return list(zip(found["label"], found["probabilities"], strict=True))


def by_grpc(app: App) -> Answers:
    answer = test_oip_grpc.ask(app, "ModelInfer", **test_oip_grpc.infer_fields(ROWS, is_raw=True))
    label, probabilities, _ = answer.raw_output_contents
    assert label[:4] == (6).to_bytes(4, "little")
    labels = [label[place + 4 : place + 10].decode() for place in range(0, len(label), 10)]  # both have six letters
    return list(zip(labels, np.frombuffer(probabilities, "<f8").reshape(-1, 2).tolist(), strict=True))


def by_binary(app: App) -> Answers:
    body, size = inference.binary_body(TENSORS, parameters={"binary_data_output": True})
    return of_tensors(values(infer(app, body, inference_header_content_length=str(size))))


def by_arrow(app: App) -> Answers:
    body = stream(pa.Table.from_pylist(ROWS))
    return of_records(pa.ipc.open_stream(post_bytes(app, body, MEDIA_TYPE).content).read_all().to_pylist())


def in_process(app: App) -> Answers:
    with InProcess(app) as asked:
        answered = asked.post("/v1/models/flows:predict", json.dumps({"instances": ROWS}).encode())
    return of_records(json.loads(answered.body)["predictions"])


def by_table(app: App) -> Answers:
    model = ModelHere(ServedModel("flows", Sums(), version=3, signature=SIGNATURE))
    return of_records([answer for each in predict_table(model, pl.DataFrame(ROWS).lazy()) for answer in each.answers()])


SURFACES: dict[str, Callable[[App], Answers]] = {
    "tensors in JSON": lambda app: of_tensors(values(infer(app, inference.json_body(TENSORS)))),
    "tensors in binary": by_binary,
    "gRPC": by_grpc,
    "Arrow": by_arrow,
    "in process": in_process,
    "a table": by_table,
}


@pytest.mark.parametrize("surface", SURFACES)
def test_every_surface_gives_the_answers_of_records(surface: str) -> None:
    """To the last bit: a surface changes how rows travel, not what they are."""
    expected = of_records(post(service(Sums()), ROWS).json()["predictions"])
    assert len({tuple(probabilities) for _, probabilities in expected}) == len(ROWS)
    assert SURFACES[surface](service(Sums())) == expected


def test_what_came_as_columns_is_logged_as_rows(tmp_path: Path) -> None:
    """Whatever surface it came by, the log reads alike, without sensitive fields."""
    log = SegmentLog(tmp_path)
    app = service(Sums(), log=log)
    post(app, ROWS)
    by_binary(app)
    post_bytes(app, stream(pa.Table.from_pylist(ROWS)), MEDIA_TYPE)
    records = [{key: record[key] for key in ("model", "version", "inputs", "outputs")} for record in log.read()]
    log.close()
    assert records[:4] == records[4:8] == records[8:]
    assert records[1]["inputs"] == {"duration": 90, "protocol": "tcp", "rate": None}
