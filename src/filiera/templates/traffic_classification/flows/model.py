"""From the dataset "flows" to the model "flow-classifier"."""

import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from traffic.columns import FEATURES, TARGET, TEXTS

from filiera import Dataset, Evaluation, Gate, Model, pipeline, step
from filiera.model import evaluation
from filiera.model.split import split

GATES = [
    Gate("f1_macro", at_least=0.90),
    Gate("f1_macro", not_worse_than="champion", margin=0.01),
]


@step(stage="split")
def split_flows(flows: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return four fifths of the rows to train on and one fifth to test on, with equal shares of attacks."""
    return split(flows, test_share=0.2, seed=seed, stratify=TARGET)


@step(stage="train")
def fit(train_rows: pl.DataFrame, trees: int, max_depth: int, seed: int) -> Pipeline:
    """Return a random forest over the columns as they are; a text it has not met counts as none."""
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    model = Pipeline(
        [
            ("columns", ColumnTransformer([("texts", texts, list(TEXTS))], remainder="passthrough")),
            ("forest", RandomForestClassifier(n_estimators=trees, max_depth=max_depth, random_state=seed, n_jobs=1)),
        ]
    )
    return model.fit(train_rows.select(FEATURES), train_rows[TARGET].to_numpy())


@step(stage="evaluate")
def evaluate(model: Pipeline, test_rows: pl.DataFrame) -> Evaluation:
    """Return how good the model is on rows it has not seen."""
    return evaluation.evaluate(model, test_rows, target=TARGET)


@pipeline(kind="model", publishes=Model("flow-classifier", task="classification", gates=GATES))
def train(
    flows: pl.DataFrame = Dataset("flows@latest"),
    trees: int = 100,
    max_depth: int = 16,
    seed: int = 0,
):
    """Split, train, evaluate, gate and publish a classifier of connections."""
    train_rows, test_rows = split_flows(flows, seed=seed)
    model = fit(train_rows, trees=trees, max_depth=max_depth, seed=seed)
    return model, evaluate(model, test_rows)
