"""A small project with a dataset and a model."""

from __future__ import annotations

import random
from pathlib import Path

TOML = """\
[project]
name = "shop"
flows = ["shopflows"]

[catalog.orders]
type = "csv"
path = "orders.csv"

[profile.local]
store = ".filiera"
executor = "inline"
"""

DATA = '''\
import polars as pl

from filiera import Check, Dataset, Source, pipeline, step

CHECKS = [Check.not_null("pieces", "price"), Check.in_range("pieces", 1), Check.in_set("country", ["it", "de"])]


@step(stage="clean")
def known(raw: pl.DataFrame, column: str) -> pl.DataFrame:
    return raw.drop_nulls(column)


@pipeline(kind="data", publishes=Dataset("orders", checks=CHECKS))
def orders(raw: pl.DataFrame = Source("orders"), column: str = "country"):
    """Publish the orders."""
    return known(raw, column)
'''

MODEL = '''\
import polars as pl
from sklearn.tree import DecisionTreeClassifier

from filiera import Dataset, Gate, Metrics, Model, pipeline, step
from filiera.model.metrics.classification import classification_metrics

GATES = [Gate("accuracy", at_least=0.8)]


@step(stage="train")
def fit(rows: pl.DataFrame, depth: int) -> DecisionTreeClassifier:
    inputs = rows.select("pieces", "price")
    return DecisionTreeClassifier(max_depth=depth, random_state=0).fit(inputs, rows["big"].to_numpy())


@step(stage="evaluate")
def evaluate(model: DecisionTreeClassifier, rows: pl.DataFrame) -> Metrics:
    inputs = rows.select("pieces", "price")
    labels = model.classes_.tolist()
    return classification_metrics(
        rows["big"], model.predict(inputs), probabilities=model.predict_proba(inputs), labels=labels
    )


@pipeline(kind="model", publishes=Model("spender", task="classification", gates=GATES, may_share_rows=True))
def train(rows: pl.DataFrame = Dataset("orders@latest"), depth: int = 5):
    """Learn which orders are big."""
    model = fit(rows, depth)
    return model, evaluate(model, rows)
'''


def make_shop(folder: Path, rows: int = 300) -> Path:
    """Write the project with random orders, always the same, and return its folder."""
    (folder / "shopflows").mkdir(parents=True)
    (folder / "shopflows" / "__init__.py").touch()
    (folder / "shopflows" / "data.py").write_text(DATA)
    (folder / "shopflows" / "model.py").write_text(MODEL)
    (folder / "filiera.toml").write_text(TOML)
    write_orders(folder / "orders.csv", rows)
    return folder


def write_orders(file: Path, rows: int, *, dearer: float = 1.0) -> None:
    """Write random orders; with *dearer* above 1, of higher prices."""
    numbers = random.Random(1)
    lines = ["pieces,price,country,big"]
    for _ in range(rows):
        pieces, price = numbers.randint(1, 9), round(numbers.uniform(1, 50) * dearer, 2)
        big = "yes" if pieces * price > 100 else "no"
        lines.append(f"{pieces},{price},{numbers.choice(['it', 'de'])},{big}")
    file.write_text("\n".join(lines) + "\n")
