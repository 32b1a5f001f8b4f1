"""Answers of real scikit-learn models, and of models that break their promises."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from filiera.core.signature import Field, Output, Signature, Task
from filiera.errors import FilieraError, UsageError
from filiera.serving.answers import Answer, answers_of
from filiera.serving.batch import Batch
from filiera.serving.predictor import PredictionFailed, Predictor
from filiera.serving.problem import RequestRefused
from filiera.serving.served_model import ServedModel
from tests.serving.offers import GOOD, LABELS, SIGNATURE, Rule

ROWS = pl.DataFrame(
    {
        "duration": [1, 2, 3, 200, 300, 400] * 5,
        "protocol": ["tcp", "udp", "tcp", "icmp", "tcp", "icmp"] * 5,
        "attack": ["normal", "normal", "normal", "attack", "attack", "attack"] * 5,
    },
    schema_overrides={"duration": pl.Int32},
)
INPUTS = (
    Field(name="duration", type="int32", minimum=0),
    Field(name="protocol", type="string", values=("icmp", "tcp", "udp")),
)
CLASS_OUTPUTS = SIGNATURE.outputs


def pipeline(last: Any) -> Pipeline:
    columns = ColumnTransformer([("n", StandardScaler(), ["duration"]), ("c", OneHotEncoder(), ["protocol"])])
    return Pipeline([("columns", columns), ("model", last)])


def signature(task: Task, *outputs: Output, inputs: tuple[Field, ...] = INPUTS) -> Signature:
    return Signature(
        task=task,
        inputs=inputs,
        outputs=outputs,
        examples=tuple(ROWS.select("duration", "protocol").rows(named=True)[:2]),
    )


def answered(model: Any, signature: Signature, frame: pl.DataFrame) -> list[Answer]:
    """Return what a service with *model* says about the rows of *frame*."""
    batch = Batch.of_frame(signature.inputs, frame)
    found = answers_of(signature.outputs, Predictor(model, signature).predict(batch), [""] * batch.height)
    return [{key: value for key, value in answer.items() if key != "id"} for answer in found]


@pytest.mark.parametrize("as_pandas", [False, True], ids=["polars", "pandas"])
def test_a_classifier_answers_labels_and_probabilities(as_pandas: bool) -> None:
    """A pipeline that picks columns by name answers as it does itself, whichever frame it was fitted on."""
    frame = ROWS.drop("attack")
    model = pipeline(LogisticRegression())
    model.fit(frame.to_pandas() if as_pandas else frame, ROWS["attack"].to_numpy())
    answers = answered(model, signature("classification", *CLASS_OUTPUTS), frame)
    assert [answer["label"] for answer in answers] == model.predict(frame).tolist()
    expected = [dict(zip(LABELS, row, strict=True)) for row in model.predict_proba(frame).tolist()]
    assert [answer["probabilities"] for answer in answers] == expected
    assert json.loads(json.dumps(answers)) == answers


def test_columns_are_given_in_the_order_of_fitting() -> None:
    """A signature may have its fields in another order than the model."""
    frame = ROWS.select("duration", size=pl.col("duration") * 2)
    model = LinearRegression().fit(frame, ROWS["duration"].to_numpy())
    inputs = (Field(name="size", type="int32"), Field(name="duration", type="int32"))
    output = Output(name="value", type="float64", semantics="value")
    answers = answered(model, signature("regression", output, inputs=inputs), frame.select("size", "duration"))
    assert [round(answer["value"]) for answer in answers] == ROWS["duration"].to_list()


def test_a_model_fitted_on_arrays_gets_arrays() -> None:
    """Without names there is only the order, and no warning about names."""
    numbers = ROWS.select("duration").to_numpy()
    model = KMeans(2, n_init=1, random_state=0).fit(numbers)
    output = Output(name="cluster", type="int32", semantics="cluster")
    answers = answered(model, signature("clustering", output, inputs=INPUTS[:1]), ROWS.select("duration"))
    assert [answer["cluster"] for answer in answers] == model.labels_.tolist()


def test_labels_may_be_numbers_or_truth_values() -> None:
    """Labels keep their type; as keys of probabilities they are text."""
    for labels in ((0, 1), (False, True)):
        target = np.array(labels)[(ROWS["attack"] == "attack").to_numpy().astype(int)]
        model = pipeline(LogisticRegression()).fit(ROWS.drop("attack"), target)
        outputs = (
            Output(name="label", type="bool", semantics="label", labels=labels),
            Output(name="p", type="float64", semantics="probability", labels=labels),
        )
        (answer,) = answered(model, signature("classification", *outputs), ROWS.drop("attack").head(1))
        assert answer["label"] is labels[0]
        assert list(answer["probabilities"]) in (["0", "1"], ["false", "true"])


def test_a_served_model_predicts_many_rows_in_requests() -> None:
    """Batch prediction goes the way of requests: any number of rows, validated, in order, with ids."""
    model = pipeline(LogisticRegression()).fit(ROWS.drop("attack"), ROWS["attack"].to_numpy())
    served = ServedModel("m", model, version=1, signature=signature("classification", *CLASS_OUTPUTS))
    served.warm_up()
    answers = list(served.predict_rows(ROWS.drop("attack").iter_rows(named=True)))
    assert [answer["label"] for answer in answers] == ROWS["attack"].to_list()
    assert len({answer["id"] for answer in answers}) == ROWS.height
    with pytest.raises(RequestRefused, match="signature") as refused:
        list(served.predict_rows([{"duration": -1, "protocol": "tcp"}]))
    assert "instances[0].duration must be at least 0" in str(refused.value)


class WithoutProbabilities:
    def predict(self, frame: pl.DataFrame) -> Any:
        raise NotImplementedError


class OtherLabels(Rule):
    classes_ = np.array(["normal", "attack"])


class NeedsMore(Rule):
    feature_names_in_ = np.array(["duration", "bytes"])


@pytest.mark.parametrize(
    ("model", "why"),
    [(WithoutProbabilities(), "predict_proba"), (OtherLabels(), "in its order"), (NeedsMore(), "'bytes'")],
)
def test_a_model_that_cannot_keep_its_signature_is_not_served(model: Any, why: str) -> None:
    """Missing methods, labels in another order and unknown columns are found before anybody asks."""
    with pytest.raises(PredictionFailed, match="disagree") as caught:
        Predictor(model, SIGNATURE)
    assert why in caught.value.why


class Answers:
    def __init__(self, answers: Any) -> None:
        self.answers = answers

    def predict(self, frame: pl.DataFrame) -> Any:
        if isinstance(self.answers, BaseException):
            raise self.answers
        return np.array(self.answers)


@pytest.mark.parametrize(
    "answers",
    [[1.0], [1.0, 2.0, 3.0], [1.0, float("nan")], [1.0, float("inf")], ["a", "b"], ValueError(), SystemExit()],
)
def test_answers_that_break_the_signature_are_failures(answers: Any) -> None:
    """Too few, too many, not finite, of another type, or an error: each is one kind of failure, without the data."""
    output = Output(name="value", type="float64", semantics="value")
    predictor = Predictor(Answers(answers), signature("regression", output))
    with pytest.raises(PredictionFailed):
        predictor.predict(Batch.of_frame(INPUTS, ROWS.head(2)))


def test_examples_must_follow_their_signature() -> None:
    """A signature whose own examples it refuses is not served, and says where."""
    bad = Signature(
        task="classification", inputs=INPUTS, outputs=CLASS_OUTPUTS, examples=({"duration": -1, "protocol": "tcp"},)
    )
    served = ServedModel("m", Rule(), version=1, signature=bad)
    with pytest.raises(FilieraError, match="its own examples") as caught:
        served.warm_up()
    assert "instances[0].duration" in caught.value.why


def test_without_examples_there_is_nothing_to_warm_up() -> None:
    """Such a model is ready at once."""
    plain = Signature(task="classification", inputs=SIGNATURE.inputs, outputs=CLASS_OUTPUTS)
    served = ServedModel("m", Rule(), version=1, signature=plain)
    served.warm_up()
    assert next(iter(served.predict_rows([GOOD])))["label"] == "normal"


def test_a_name_that_is_no_path_is_refused() -> None:
    """Names come into addresses."""
    with pytest.raises(UsageError, match="served under this name"):
        ServedModel("a/b", Rule(), version=1, signature=SIGNATURE)
