"""What every subject runs: functions that do next to nothing, so that what is around them is measured, and a fit."""

import math
import os
import random
import time
from pathlib import Path


def add_one(number: int) -> int:
    """Return the next number."""
    return number + 1


def note_start(number: int) -> int:
    """Write down when a step's first line ran, on the clock that all processes of a machine share."""
    Path(os.environ["BENCHMARK_STARTED"]).write_text(str(time.monotonic()), encoding="utf-8")
    return number


def fit(seed: int, epochs: int) -> list[float]:
    """Return the weights of a logistic regression, fitted by gradient descent: all of it in one processor."""
    chance = random.Random(seed)
    rows = [[chance.gauss(0, 1) for _ in range(8)] for _ in range(500)]
    labels = [sum(row) + chance.gauss(0, 1) > 0 for row in rows]
    weights = [0.0] * 8
    for _ in range(epochs):
        for row, label in zip(rows, labels, strict=True):
            guess = 1 / (1 + math.exp(-sum(map(float.__mul__, row, weights))))
            weights = [weight + 0.01 * (label - guess) * value for weight, value in zip(weights, row, strict=True)]
    return weights
