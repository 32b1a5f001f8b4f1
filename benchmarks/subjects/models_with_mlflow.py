"""MLflow on SQLite: ``models_with_mlflow.py SCENARIO SIZE START``; prints the seconds of each run or point.

It does fewer, as each takes it as long as the one before.
"""

import sys
import time

import mlflow
from mlflow.entities import Metric

BATCH = 1000


def recorded(count: int) -> list[float]:
    """Return the seconds of a run with five parameters and five metrics."""
    before = time.perf_counter()
    for number in range(count):
        with mlflow.start_run():
            mlflow.log_params({"a": number, "b": 1, "c": 0.5, "d": "x", "e": True})
            mlflow.log_metrics({f"m{k}": number * 0.5 for k in range(5)})
    return [(time.perf_counter() - before) / count]


def points(count: int) -> list[float]:
    """Return the seconds of a point that is logged in batches of 1,000, and of one logged by itself."""
    client = mlflow.MlflowClient()
    single = max(count // 10, 1)
    with mlflow.start_run() as run:
        before = time.perf_counter()
        for first in range(0, count, BATCH):
            steps = range(first, min(first + BATCH, count))
            client.log_batch(run.info.run_id, [Metric("loss", n * 0.001, int(time.time() * 1000), n) for n in steps])
        batched = (time.perf_counter() - before) / count
        before = time.perf_counter()
        for number in range(single):
            mlflow.log_metric("single", number * 0.001, step=number)
        return [batched, (time.perf_counter() - before) / single]


if __name__ == "__main__":
    name, size, start = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    mlflow.set_tracking_uri(f"sqlite:///{start}.db")
    mlflow.set_experiment("benchmark")
    with mlflow.start_run():
        mlflow.log_metric("warm", 1.0)
    print(*(recorded(max(size // 10, 1)) if name == "recorded" else points(max(size // 20, 1))))
