"""The prediction log: what numbers in a request cost, and how fast predictions are read before and after packing.

``python benchmarks/prediction_log.py --predictions 1000000`` logs so many predictions of a model with eight inputs into
a temporary folder, reads them as records and as the window that monitoring compares, packs them, and does both again.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from filiera.adapters.prediction_segments import SegmentLog
from filiera.core.reference import CategoricalReference, NumericReference, ReferenceProfile
from filiera.core.signature import Field, Output, Signature
from filiera.monitoring.window import Selection, Window, collect
from filiera.project.project import Project
from filiera.project.serving.predictions import Predictions
from filiera.serving.batch import Batch
from filiera.serving.served_model import ServedModel

NAMES = [f"x{number}" for number in range(7)]
ROWS = 20
INF = float("inf")


class Fixed:
    """A model that takes no time."""

    is_brief = True

    def predict(self, batch: Batch) -> Any:
        """Return nothing: only logging is measured."""


def request_costs(folder: Path) -> None:
    """Print what logging a request of 1,000 rows of 100 numbers costs."""
    fields = tuple(Field(name=f"x{number}", type="float64") for number in range(100))
    outputs = (
        Output(name="label", type="string", semantics="label", labels=("a", "b")),
        Output(name="probabilities", type="float64", semantics="probability", labels=("a", "b")),
    )
    signature = Signature(task="classification", inputs=fields, outputs=outputs)
    matrix = np.random.default_rng(0).normal(size=(1000, 100))
    answers = (np.array(["a"] * 1000), np.full((1000, 2), 0.5))
    medians = []
    for log in (None, SegmentLog(folder / "request")):
        model, took = ServedModel("m", Fixed(), version=1, signature=signature, log=log), []
        for _ in range(60):
            batch = Batch.of_matrix(fields, matrix)
            began = time.thread_time()
            model.named([batch], answers)
            took.append(time.thread_time() - began)
        medians.append(sorted(took)[30] * 1000)
    print(f"1,000 rows × 100 numbers, the log's part: {medians[1] - medians[0]:.2f} ms of processor time")


def write(folder: Path, predictions: int) -> None:
    """Log predictions, twenty in a request."""
    chance, log = random.Random(0), SegmentLog(folder)
    for start in range(0, predictions, ROWS):
        rows = [{**{name: chance.gauss(0, 1) for name in NAMES}, "kind": chance.choice("abc")} for _ in range(ROWS)]
        ids = [f"{start + place:026d}" for place in range(ROWS)]
        answers = [{"id": each, "label": "y", "probabilities": {"n": 0.25, "y": 0.75}} for each in ids]
        request, answer = msgspec.json.encode({"instances": rows}), msgspec.json.encode(answers)
        about = {"at": 1e9 + start, "model": "m", "version": 1, "signature": "0" * 64}
        log.append_requests(about, [request], [answer], count=ROWS)
        if start % 100_000 == 0:
            log.flush()
    log.close()


def reference() -> ReferenceProfile:
    """Return what the training data of the model looked like."""
    numbers = [
        NumericReference(
            name=name, type="float64", rows=2, nulls=0, edges=(-INF, 0.0, INF), counts=(1, 1), mean=0.0, sd=1.0,
            minimum=-1.0, maximum=1.0,
        )
        for name in NAMES
    ]  # fmt: skip
    kinds = CategoricalReference(name="kind", type="string", rows=2, nulls=0, values=("a", "b"), counts=(1, 1))
    return ReferenceProfile(rows=2, columns=(*numbers, kinds))


def windowed(log: Predictions) -> Window:
    """Return what monitoring would look at."""
    with log.held() as found:
        tables, others = found.tables(version=1, since=0.0)
        assert not others
        return collect(found.read_segments(), reference(), selection=Selection(version=1), tables=tables)


def measured(what: str, act: Callable[[], int], size_bytes: int) -> None:
    """Print how long something takes."""
    began, effort = time.perf_counter(), time.process_time()
    count = act()
    wall_s, effort_s = time.perf_counter() - began, time.process_time() - effort
    print(f"{what:<28} {count:>10,} {wall_s:>8.2f} s {effort_s:>8.2f} s {size_bytes / 2**20:>8.0f} MiB", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--predictions", type=int, default=1_000_000)
    predictions = parser.parse_args().predictions
    with tempfile.TemporaryDirectory() as folder:
        request_costs(Path(folder))
        (Path(folder) / "filiera.toml").write_text('[project]\nname = "p"\n')
        project = Project.open(Path(folder))
        write(project.store / "predictions" / "m", predictions)
        log = Predictions(project, "m")
        print(f"{'':<28} {'rows':>10} {'wall':>10} {'processor':>10} {'on disk':>12}")
        size = log.segment_bytes()
        measured("records, of segments", lambda: sum(1 for _ in log.read()), size)
        measured("monitoring, of segments", lambda: windowed(log).rows, size)
        measured("packing", lambda: log.compact().rows, size)
        size = sum(os.path.getsize(project.blobs.path(part.digest)) for part in log.parts())  # noqa: PTH202
        measured("records, of tables", lambda: sum(1 for _ in log.read()), size)
        measured("monitoring, of tables", lambda: windowed(log).rows, size)


if __name__ == "__main__":
    main()
