"""The small project of benchmarks that need models which were made for real: which of two numbers' sums are big."""

from __future__ import annotations

from pathlib import Path

_FLOWS = """
import random
import polars as pl
from sklearn.tree import DecisionTreeClassifier
from filiera import Dataset, Evaluation, Gate, Model, pipeline, step
from filiera.model import evaluation

@step(stage="collect")
def draw(rows: int) -> pl.DataFrame:
    numbers = random.Random(1)
    drawn = [(numbers.random(), numbers.random(), numbers.random()) for _ in range(rows)]
    return pl.DataFrame(drawn, schema=["a", "b", "noise"], orient="row").with_columns(
        big=pl.when(pl.col("a") + pl.col("b") + pl.col("noise") / 5 > 1.1).then(pl.lit("yes")).otherwise(pl.lit("no"))
    ).drop("noise")

@pipeline(kind="data", publishes=Dataset("pairs"))
def pairs(rows: int = 200):
    return draw(rows)

@step(stage="evaluate")
def assess(model: DecisionTreeClassifier, rows: pl.DataFrame) -> Evaluation:
    return evaluation.evaluate(model, rows, target="big")
"""


def write_project(folder: Path, profile: str, training: str) -> None:
    """Write it; *profile* is a line of its configuration, *training* defines the pipeline ``train``."""
    toml = f'[project]\nname = "b"\nflows = ["flows"]\n[profile.local]\n{profile}\n'
    (folder / "filiera.toml").write_text(toml)
    (folder / "flows.py").write_text(_FLOWS + training)
