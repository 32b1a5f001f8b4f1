"""Functions that may return something else each time, for the tests of who is suspected."""

from __future__ import annotations

import datetime
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime as moment
from random import shuffle
from uuid import uuid4

import numpy as np
import polars as pl
from sklearn.tree import DecisionTreeClassifier


def draws() -> float:
    return random.random()


def draws_by_alias() -> float:
    return float(np.random.rand())


def shuffles(items: list[int]) -> list[int]:
    shuffle(items)
    return items


def imports_inside() -> str:
    import secrets

    return secrets.token_hex()


def names() -> str:
    return str(uuid4())


def nested() -> float:
    return sum(random.gauss(0, 1) for _ in range(3))


def seeded(seed: int) -> float:
    return random.Random(seed).random()


def reads_clock() -> float:
    return time.time()


def reads_date() -> tuple[str, str]:
    return str(datetime.datetime.now()), str(moment.now())


def in_threads() -> list[int]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(abs, [1]))


def groups(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("x").len()


def fits() -> DecisionTreeClassifier:
    return DecisionTreeClassifier()


def plain(x: int) -> int:
    return x + 1


class Sampler:
    def sample(self) -> float:
        return random.random()
