"""From the dataset "flows" to the model "flow-classifier"."""

import dataclasses

import polars as pl
from sklearn.pipeline import Pipeline
from traffic.columns import KIND, TARGET
from traffic.detector import detector
from traffic.unseen import NEVER_MET, NOVELTY, novelty

from filiera import Dataset, Evaluation, Gate, Model, pipeline, step
from filiera.model import evaluation
from filiera.model.evaluation import Design
from filiera.model.split import split

GATES = [
    Gate("f1_macro", at_least=0.90),
    Gate("accuracy", at_least=0.70, slice=f"{NOVELTY}=unseen attack"),  # the share that is found of kinds it never met
    Gate("accuracy", at_least=0.80, slice="protocol_type"),  # of each protocol
    Gate("accuracy", at_least=0.85, slice=f"{NOVELTY}=normal"),  # the rest: false alarms
    Gate("f1_macro", not_worse_than="champion", margin=0.01),
]


@step(stage="split")
def split_flows(flows: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return four fifths of the rows to train on and one fifth to test on, with equal shares of attacks."""
    return split(flows, test_share=0.2, seed=seed, stratify=TARGET)


@step(stage="train")
def fit(train_rows: pl.DataFrame, trees: int, max_depth: int, seed: int) -> Pipeline:
    """Return a forest that was calibrated on kinds of attacks that its trees had not met."""
    return detector(train_rows, trees=trees, max_depth=max_depth, seed=seed)


@step(stage="train")
def fit_unaware(train_rows: pl.DataFrame, trees: int, max_depth: int, seed: int) -> Pipeline:
    """Return the same, kept from three kinds of attacks: how it takes them is how the model may take new kinds."""
    known = train_rows.filter(pl.col(KIND).is_in(NEVER_MET).not_())
    return detector(known, trees=trees, max_depth=max_depth, seed=seed)


@step(stage="evaluate")
def evaluate(model: Pipeline, unaware: Pipeline, test_rows: pl.DataFrame) -> Evaluation:
    """Return how good the model is on rows it has not seen, per protocol, and the unaware one on what it never met."""
    rows = test_rows.with_columns(novelty())
    found = evaluation.evaluate(model, rows, target=TARGET, design=Design(slices=("protocol_type",)))
    never_met = evaluation.evaluate(unaware, rows, target=TARGET, design=Design(slices=(NOVELTY,)))
    return dataclasses.replace(found, slices=(*found.slices, *never_met.slices))


@pipeline(kind="model", publishes=Model("flow-classifier", task="classification", gates=GATES))
def train(
    flows: pl.DataFrame = Dataset("flows@latest"),
    trees: int = 60,
    max_depth: int = 16,
    seed: int = 0,
):
    """Split, train, evaluate, gate and publish a classifier of connections."""
    train_rows, test_rows = split_flows(flows, seed=seed)
    model = fit(train_rows, trees=trees, max_depth=max_depth, seed=seed)
    unaware = fit_unaware(train_rows, trees=trees, max_depth=max_depth, seed=seed)
    return model, evaluate(model, unaware, test_rows)
