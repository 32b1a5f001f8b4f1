import datetime as dt
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from filiera.core import plain
from filiera.core.metric import Metrics
from filiera.core.reference import MAX_PROBABILITY, CategoricalReference, NumericReference
from filiera.core.signature import Task
from filiera.errors import UsageError
from filiera.model.package import describe_model


def flows(n: int = 120, seed: int = 0) -> pl.DataFrame:
    source = np.random.default_rng(seed)
    packets = source.integers(1, 500, size=n)
    protocol = source.choice(["tcp", "udp"], size=n)
    return pl.DataFrame(
        {
            "packets": packets,
            "protocol": protocol,
            "rate": source.random(n).round(3),
            "label": np.where((packets > 250) == (protocol == "tcp"), "dos", "normal"),
        }
    )


INPUTS = ["packets", "protocol", "rate"]


def classifier(frame: pl.DataFrame, final: Any = None) -> Pipeline:
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["protocol"]), remainder=StandardScaler())
    return make_pipeline(encode, final or LogisticRegression()).fit(frame.select(INPUTS), frame["label"])


def metrics(task: Task) -> Metrics:
    return Metrics((), task=task)


def test_classifier_is_described_from_its_training_rows() -> None:
    """Columns in the model's order with Arrow's types, labels and probabilities in the order of the classes."""
    frame = flows()
    card = describe_model(classifier(frame), training=frame, metrics=metrics("classification"), evaluated=flows(seed=1))
    signature = card.signature
    assert [(field.name, field.type) for field in signature.inputs] == [
        ("packets", "int64"),
        ("protocol", "string"),
        ("rate", "float64"),
    ]
    assert [(output.name, output.semantics, output.labels) for output in signature.outputs] == [
        ("label", "label", ("dos", "normal")),
        ("probability", "probability", ("dos", "normal")),
    ]
    assert card.model == "sklearn.pipeline:Pipeline"
    assert card.task == "classification"
    assert card.notes == ()
    assert plain.decode(plain.encode(card)) == card


def test_same_model_and_rows_give_the_same_card() -> None:
    """Nothing in a card depends on when or where it was made."""
    frame = flows()
    first, second = (
        describe_model(classifier(frame), training=frame, metrics=metrics("classification")) for _ in range(2)
    )
    assert plain.encode(first) == plain.encode(second)


def test_answers_are_profiled_on_rows_the_model_has_not_seen() -> None:
    """Labels and the greatest probability are counted on the evaluated rows, inputs on the training rows."""
    train, test = flows(120), flows(50, seed=1)
    model = classifier(train)
    profile = describe_model(model, training=train, metrics=metrics("classification"), evaluated=test).reference
    assert [column.name for column in profile.columns] == INPUTS
    assert profile.column("rate").rows == profile.rows == 120
    label, sureness = profile.output("label"), profile.output(MAX_PROBABILITY)
    assert isinstance(label, CategoricalReference)
    assert isinstance(sureness, NumericReference)
    assert label.rows == sureness.rows == 50
    expected = model.predict_proba(test.select(INPUTS)).max(axis=1)
    assert (sureness.minimum, sureness.maximum) == pytest.approx((expected.min(), expected.max()))


def test_answers_on_training_rows_are_marked() -> None:
    """Without other rows the training rows serve, and the card says what that means."""
    frame = flows()
    card = describe_model(classifier(frame), training=frame, metrics=metrics("classification"))
    assert "training rows" in card.notes[0]


def test_limits_are_what_checks_promise_and_not_what_was_seen() -> None:
    """A column without a promise has no limits, however narrow its training values."""
    frame = flows()
    domains = {"rate": (0.0, 1.0, None), "protocol": (None, None, ("tcp", "udp", "icmp")), "label": (None, None, None)}
    card = describe_model(classifier(frame), training=frame, metrics=metrics("classification"), domains=domains)
    packets, protocol, rate = card.signature.inputs
    assert (packets.minimum, packets.maximum) == (None, None)
    assert (rate.minimum, rate.maximum) == (0.0, 1.0)
    assert protocol.values == ("tcp", "udp", "icmp")


def test_examples_show_extremes_and_keep_to_the_signature() -> None:
    """There are at least five rows, with the least and greatest values among those that the signature takes."""
    frame = flows()
    domains = {"packets": (10.0, 400.0, None)}
    examples = describe_model(
        classifier(frame), training=frame, metrics=metrics("classification"), domains=domains
    ).signature.examples
    allowed = frame.filter(pl.col("packets").is_between(10, 400))
    assert 5 <= len(examples) <= 8
    assert all(set(row) == set(INPUTS) for row in examples)
    for name in ("packets", "rate"):
        shown = [row[name] for row in examples]
        assert (min(shown), max(shown)) == (allowed[name].min(), allowed[name].max())


def test_examples_are_kept_with_their_answers() -> None:
    """Whatever serves the model later can be held to them."""
    frame = flows()
    model = classifier(frame)
    signature = describe_model(model, training=frame, metrics=metrics("classification")).signature
    rows = pl.DataFrame(list(signature.examples), schema={name: frame.schema[name] for name in INPUTS})
    assert [answer["label"] for answer in signature.answers] == model.predict(rows).tolist()
    given = [list(answer["probability"]) for answer in signature.answers]
    assert given == model.predict_proba(rows).tolist()
    number = LinearRegression().fit(frame.select("packets"), frame["rate"])
    signature = describe_model(number, training=frame, metrics=metrics("regression")).signature
    assert len(signature.answers) == len(signature.examples)
    assert all(isinstance(answer["value"], float) for answer in signature.answers)


def test_few_rows_are_all_examples() -> None:
    """With less than five rows there is no more to show."""
    frame = flows(3)
    model = LinearRegression().fit(frame.select("packets"), frame["rate"])
    assert len(describe_model(model, training=frame, metrics=metrics("regression")).signature.examples) == 3


def test_nulls_and_nan_in_training_make_a_column_nullable() -> None:
    """A model that has learnt from missing values takes them, and examples write them as null."""
    frame = pl.DataFrame(
        {"a": [1.0, math.nan, 3.0, 4.0], "b": [1, None, 3, 4], "c": [1.0, 2.0, 3.0, 4.0], "y": [0.5, 1.5, 2.5, 3.5]}
    )
    model = HistGradientBoostingRegressor().fit(frame.select("a", "b", "c"), frame["y"])
    signature = describe_model(model, training=frame, metrics=metrics("regression")).signature
    assert [field.nullable for field in signature.inputs] == [True, True, False]
    assert {"a": None, "b": None, "c": 2.0} in signature.examples


def test_regression_gives_a_value() -> None:
    """One number per row, profiled in bins."""
    frame = flows()
    model = LinearRegression().fit(frame.select("packets"), frame["rate"])
    card = describe_model(model, training=frame, metrics=metrics("regression"))
    assert [(output.name, output.type, output.semantics) for output in card.signature.outputs] == [
        ("value", "float64", "value")
    ]
    assert isinstance(card.reference.output("value"), NumericReference)


def test_clustering_gives_a_cluster() -> None:
    """One cluster number per row, profiled per cluster."""
    frame = flows()
    model = KMeans(3, n_init=1, random_state=0).fit(frame.select("packets", "rate"))
    card = describe_model(model, training=frame, metrics=metrics("clustering"))
    assert [(output.name, output.type, output.semantics) for output in card.signature.outputs] == [
        ("cluster", "int64", "cluster")
    ]
    assert card.reference.output("cluster").total == 120


def test_other_tasks_give_values_scores_and_flags() -> None:
    """A forecast is a value, a ranking a score, and anomalies are what the model calls them."""
    frame = flows()
    line = LinearRegression().fit(frame.select("packets"), frame["rate"])
    forest = IsolationForest(n_estimators=5, random_state=0).fit(frame.select("packets"))
    found = {
        task: describe_model(model, training=frame, metrics=metrics(task)).signature.outputs
        for task, model in (("forecasting", line), ("ranking", line), ("anomaly_detection", forest))
    }
    assert [(output.name, output.type, output.labels) for (output,) in found.values()] == [
        ("value", "float64", ()),
        ("score", "float64", ()),
        ("label", "int64", (-1, 1)),
    ]


def test_classifier_without_probabilities_gives_labels_alone() -> None:
    """What a model cannot say is not promised."""
    frame = flows()
    card = describe_model(classifier(frame, LinearSVC()), training=frame, metrics=metrics("classification"))
    assert [output.name for output in card.signature.outputs] == ["label"]
    assert [output.name for output in card.reference.outputs] == ["label"]


def test_integer_and_boolean_labels_are_plain() -> None:
    """Classes that NumPy made are written as Python's."""
    frame = flows().with_columns(is_dos=pl.col("label") == "dos")
    model = LogisticRegression().fit(frame.select("rate"), frame["is_dos"])
    output = describe_model(model, training=frame, metrics=metrics("classification")).signature.outputs[0]
    assert (output.type, output.labels) == ("bool", (False, True))


def test_dates_are_examples_as_requests_carry_them() -> None:
    """Dates are written in ISO 8601."""

    class Yearly(BaseEstimator):  # type: ignore[misc]
        feature_names_in_ = ("day",)

        def predict(self, frame: pl.DataFrame) -> list[float]:
            return frame["day"].dt.year().cast(pl.Float64).to_list()

    frame = pl.DataFrame({"day": [dt.date(2020, 1, 1), dt.date(2021, 1, 1)]})
    signature = describe_model(Yearly(), training=frame, metrics=metrics("regression")).signature
    assert signature.examples == ({"day": "2020-01-01"}, {"day": "2021-01-01"})
    assert signature.inputs[0].type == "date"


def short(frame: pl.DataFrame) -> list[int]:
    return [1] * (frame.height - 1)


@pytest.mark.parametrize(
    ("model", "task", "words"),
    [
        (LinearRegression().fit([[0.0], [1.0]], [0, 1]), "regression", "has no feature_names_in_"),
        (SimpleNamespace(feature_names_in_=["rate"]), "regression", "has no predict"),
        (SimpleNamespace(feature_names_in_=["rate", "age"], predict=short), "regression", "lack columns"),
        (SimpleNamespace(feature_names_in_=["rate"], predict=short), "regression", "119 answers to 120 rows"),
        (SimpleNamespace(feature_names_in_=["rate"], predict=lambda f: [1] * f.height), "classification", "classes_"),
        (
            SimpleNamespace(
                feature_names_in_=["rate"],
                classes_=[0, 1],
                predict=lambda f: [1] * f.height,
                predict_proba=lambda f: np.ones((f.height, 3)),
            ),
            "classification",
            "shape (120, 3)",
        ),
    ],
    ids=["array", "no predict", "lacks column", "short", "no classes", "too many probabilities"],
)
def test_models_that_cannot_be_served_are_refused(model: Any, task: Task, words: str) -> None:
    """Each thing a service would miss is said before publishing, in one clear message."""
    with pytest.raises(UsageError) as caught:
        describe_model(model, training=flows(), metrics=metrics(task))
    assert words in str(caught.value)


def test_no_rows_are_refused() -> None:
    """A model cannot be described by nothing."""
    frame = flows()
    with pytest.raises(UsageError, match="no evaluated rows"):
        describe_model(classifier(frame), training=frame, metrics=metrics("classification"), evaluated=frame.clear())


def test_times_in_examples_have_an_offset() -> None:
    """A service takes times with an offset only; one without is in UTC, as what the model is asked with."""
    zones = {"bare": pl.Datetime("us"), "utc": pl.Datetime("us", "UTC"), "day": pl.Date}
    frame = pl.DataFrame({name: [dt.datetime(2026, 1, 31, 12)] * 2 for name in zones}).cast(dict(zones))
    model = SimpleNamespace(feature_names_in_=list(zones), predict=lambda rows: [1.0] * rows.height)
    examples = describe_model(model, training=frame, metrics=metrics("regression")).signature.examples
    at = "2026-01-31T12:00:00+00:00"
    assert examples[0] == {"bare": at, "utc": at, "day": "2026-01-31"}
