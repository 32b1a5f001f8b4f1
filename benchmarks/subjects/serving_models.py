"""The models that are served: 41 features, as a project of Filiera publishes them, and as files for everybody else."""

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from filiera import Metrics, Model, pipeline, step
from filiera.model.metrics.classification import classification_metrics

NUMBERS = [f"number_{index}" for index in range(38)]
WORDS = {"protocol": ("icmp", "tcp", "udp"), "service": tuple(f"s{i}" for i in range(20)), "flag": ("a", "b", "c", "d")}
ROWS = 20_000


@step(stage="collect")
def rows(words: bool) -> pl.DataFrame:
    """Return rows of 41 features, three of them words or all numbers, and a label that follows from some of them."""
    draw = np.random.default_rng(0)
    numbers = draw.normal(size=(ROWS, 38)).round(3)
    table = pl.DataFrame(numbers, schema=NUMBERS)
    codes = {name: draw.integers(len(values), size=ROWS) for name, values in WORDS.items()}
    score = numbers[:, 0] + numbers[:, 1] * numbers[:, 2] + (codes["protocol"] == 1) + draw.normal(size=ROWS) * 0.3
    more = {
        name: pl.Series(np.asarray(values)[codes[name]].tolist() if words else codes[name].astype(float))
        for name, values in WORDS.items()
    }
    return table.with_columns(**more, label=np.where(score > 0.5, "attack", "normal"))


@step(stage="split")
def halves(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return rows to train on and to test on."""
    return table.head(ROWS * 3 // 4), table.tail(ROWS // 4)


@step(stage="train")
def fit_forest(table: pl.DataFrame, trees: int) -> RandomForestClassifier:
    """Return a forest."""
    model = RandomForestClassifier(trees, max_depth=12, random_state=0, n_jobs=1)
    return model.fit(table.drop("label"), table["label"].to_numpy())


@step(stage="train")
def fit_logistic(table: pl.DataFrame) -> Pipeline:
    """Return a pipeline that scales numbers and encodes words."""
    columns = ColumnTransformer([("numbers", StandardScaler(), NUMBERS), ("words", OneHotEncoder(), list(WORDS))])
    model = Pipeline([("columns", columns), ("model", LogisticRegression(max_iter=500))])
    return model.fit(table.drop("label"), table["label"].to_numpy())


@step(stage="evaluate")
def evaluate(model, table: pl.DataFrame) -> Metrics:
    """Return how good the model is."""
    return classification_metrics(table["label"], model.predict(table.drop("label")))


@pipeline(kind="model", publishes=Model("forest", task="classification", onnx=True))
def forest(trees: int = 100):
    """A forest, of numbers only."""
    train, test = halves(rows(words=False))
    model = fit_forest(train, trees=trees)
    return model, evaluate(model, test)


@pipeline(kind="model", publishes=Model("plain-forest", task="classification"))
def plain_forest(trees: int = 100):
    """The same forest, that only its own library runs."""
    train, test = halves(rows(words=False))
    model = fit_forest(train, trees=trees)
    return model, evaluate(model, test)


@pipeline(kind="model", publishes=Model("logistic", task="classification", onnx=True))
def logistic():
    """A logistic regression behind scaled numbers and encoded words."""
    train, test = halves(rows(words=True))
    model = fit_logistic(train)
    return model, evaluate(model, test)


def main() -> None:
    """Write what the peers serve, and what is asked: NAME.skops, NAME.onnx, NAME.json and NAME.body, of one row."""
    import json
    from pathlib import Path

    import skops.io

    from filiera.core.products import ProductRef
    from filiera.project.project import Project
    from filiera.serving.served_model import request_body

    project = Project.open()
    for name in ("forest", "logistic"):
        version = project.versions.resolve("model", ProductRef(name))
        model, signature = project.model_parts(version)
        skops.io.dump(model, f"{name}.skops")
        graph = project.value(version.attachments["onnx"]).graph
        Path(f"{name}.onnx").write_bytes(graph.SerializeToString())
        about = {
            "features": [field.name for field in signature.inputs],
            "types": [field.type for field in signature.inputs],
            "labels": signature.outputs[0].labels,
        }
        Path(f"{name}.json").write_text(json.dumps(about), encoding="utf-8")
        Path(f"{name}.body").write_bytes(request_body(signature.examples[:1]))


if __name__ == "__main__":
    main()
