"""From the dataset "xrays" to the model "pneumonia"."""

import numpy as np
import polars as pl
from sklearn.ensemble import RandomForestClassifier

from filiera import Dataset, Files, Gate, Metrics, Model, pipeline, step
from filiera.data.pixels import pixels
from filiera.model.metrics.classification import classification_metrics

SIDE = 14
INPUTS = [f"row_{row}_column_{column}" for row in range(SIDE) for column in range(SIDE)]
GATES = [Gate("balanced_accuracy", at_least=0.75), Gate("balanced_accuracy", not_worse_than="champion", margin=0.02)]


def inputs_of(values: np.ndarray) -> pl.DataFrame:
    """Return a row of inputs for each of some images, whose pixels are 0 to 255: alike in training and when served."""
    return pl.DataFrame(values.reshape(len(values), -1).astype(np.float32) / 255, schema=INPUTS)


@step(stage="transform")
def as_table(xrays: Files) -> pl.DataFrame:
    """Return a column for each pixel of the scaled images, 0 to 1, beside label and split."""
    table = inputs_of(pixels(xrays, mode="L", size=(SIDE, SIDE)))
    return table.with_columns(xrays.table["label"], xrays.table["split"])


@step(stage="split")
def parts(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the images to train on and those to validate with, as the archive has them."""
    return table.filter(split="train").drop("split"), table.filter(split="val").drop("split")


@step(stage="train")
def fit(rows: pl.DataFrame, trees: int, seed: int) -> RandomForestClassifier:
    """Return a forest that was fitted to the pixels."""
    model = RandomForestClassifier(trees, class_weight="balanced", random_state=seed)
    return model.fit(rows.select(INPUTS), rows["label"].to_numpy())


@step(stage="evaluate")
def evaluate(model: RandomForestClassifier, rows: pl.DataFrame) -> Metrics:
    """Return how good the model is on images it has not seen."""
    return classification_metrics(rows["label"], model.predict(rows.select(INPUTS)))


@pipeline(kind="model", publishes=Model("pneumonia", task="classification", gates=GATES))
def train(xrays: Files = Dataset("xrays@latest"), trees: int = 100, seed: int = 0):
    """Train on one part of the images, evaluate on the other, and publish what passes the gates."""
    train_rows, validation_rows = parts(as_table(xrays))
    model = fit(train_rows, trees=trees, seed=seed)
    return model, evaluate(model, validation_rows)
