"""Applications that keep to the major before are answered by a model of the present one, as they were promised."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings

from filiera.core.contract import Contract
from filiera.core.signature import Conversion, Field, Output, Signature
from filiera.errors import ProjectError, UsageError
from filiera.serving.contracts.made_rows import MadeRows
from filiera.serving.contracts.meaning import check_meaning
from filiera.serving.conversion import Converted, obstacles
from filiera.serving.problem import RequestRefused
from filiera.serving.served_model import ServedModel, request_body
from tests.serving.contracts.mutations import changes

SECONDS = Field(name="duration", type="int16", minimum=0, maximum=3600, unit="s")
USER = Field(name="user", type="string", nullable=True)
MILLIS = Field(name="duration", type="float64", minimum=0, maximum=3_600_000, unit="ms")
PORT = Field(name="port", type="int32", minimum=1)
LABEL = Output(name="label", type="string", semantics="label", labels=("attack", "normal"))
SHARES = Output(name="probability", type="float64", semantics="probability", labels=("attack", "normal"))
KINDS = ("flood", "normal", "scan")
OLD = Signature(task="classification", inputs=(SECONDS, USER), outputs=(LABEL, SHARES), max_rows=9)
SAID = Conversion(defaults={"port": 443}, factors={"duration": 1000}, labels={"flood": "attack", "scan": "attack"})
NEW = replace(
    OLD,
    inputs=(PORT, MILLIS),
    outputs=(replace(LABEL, labels=KINDS), replace(SHARES, labels=KINDS)),
    major=2,
    conversion=SAID,
)


class Kinds:
    """Tells kinds of attacks by milliseconds, and by a port that only the new contract has."""

    classes_ = np.array(KINDS)

    def predict_proba(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        assert frame.schema["duration"] == pl.Float64
        long = frame["duration"].to_numpy() > 60_000
        secure = frame["port"].to_numpy() == 443
        flood = np.where(long, 0.35, 0.05) + np.where(secure, 0.0, 0.5) * long
        scan = np.where(long & secure, 0.25, 0.1)
        return np.column_stack([flood, 1 - flood - scan, scan])

    def predict(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        return self.classes_[self.predict_proba(frame).argmax(axis=1)]


def served(old: Signature = OLD, new: Signature = NEW, model: Any = None) -> ServedModel:
    return ServedModel("flows", Converted(model or Kinds(), old=old, new=new), version=4, signature=old)


def answers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(served().predict_rows(rows))


def test_old_rows_get_old_answers() -> None:
    """Seconds become milliseconds, the port its default, the user is left out, and kinds of attacks an attack."""
    short, long = answers([{"duration": 60, "user": "ann"}, {"duration": 61, "user": None}])
    assert short["label"] == "normal"
    assert short["probabilities"] == pytest.approx({"attack": 0.15, "normal": 0.85})
    assert long["probabilities"] == pytest.approx({"attack": 0.6, "normal": 0.4})


def test_labels_that_became_one_are_the_most_probable_together() -> None:
    """Normal is more probable than either kind of attack, and less than both."""
    row = {"duration": 61, "port": 443}
    assert Kinds().predict(pl.DataFrame([row], schema={"duration": pl.Float64, "port": pl.Int32}))[0] == "normal"
    (long,) = answers([{"duration": 61, "user": ""}])
    assert long["label"] == "attack"


def test_what_is_answered_keeps_the_old_contract() -> None:
    """Order, batches, labels and sums are as the gate asks of any model; what is refused is what was refused."""
    model = served()
    rows = MadeRows(OLD).ordinary(32)
    part = check_meaning(lambda some: [dict(one) | {"id": ""} for one in model.predict_rows(some)], OLD, rows)
    assert part.state == "passed", part
    with pytest.raises(RequestRefused) as refused:
        answers([{"duration": 3601, "user": "ann"}])
    assert refused.value.problem.errors[0].rule == "must be at most 3600"


def said(**changes: Any) -> Signature:
    return replace(NEW, conversion=replace(SAID, **changes))


def taking(*fields: Field) -> Signature:
    return replace(NEW, inputs=fields)


TEXT = replace(MILLIS, type="string", minimum=None, maximum=None)
NAMED = replace(taking(PORT, MILLIS, replace(USER, nullable=False)), conversion=SAID)
NOT_NAMED = replace(SAID, defaults={"port": 1, "user": ""})
CLUSTER = replace(LABEL, semantics="cluster")


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (NEW, ""),
        (replace(NEW, inputs=(*NEW.inputs, Field(name="more", type="bool", optional=True, default=True))), ""),
        (said(defaults={}), "input port is new and must be there: Conversion(defaults=…)"),
        (said(defaults={"port": 0}), "input port: its default of the conversion must be at least 1"),
        (said(factors={}), "input duration was in s and is in ms: Conversion(factors=…)"),
        (said(factors={"duration": 1001}), "input duration takes less than it did (maximum)"),
        (taking(PORT, replace(MILLIS, minimum=1)), "input duration takes less than it did (minimum)"),
        (taking(PORT, TEXT), "input duration: no factor turns int16 into string"),
        (NAMED, "input user takes less than it did (null)"),
        (replace(NAMED, conversion=NOT_NAMED), ""),
        (said(labels={"flood": "attack"}), "output label has labels that are none of before: scan: Conversion(labels"),
        (replace(NEW, outputs=NEW.outputs[:1]), "output probability is not given any more"),
        (replace(NEW, outputs=(CLUSTER, SHARES)), "output label was a label and is a cluster"),
        (replace(NEW, deterministic=False), "the same row may get another answer"),
        (replace(NEW, conversion=None), "input port is new and must be there"),
    ],
)  # fmt: skip
def test_what_stands_against_a_conversion_is_told(new: Signature, told: str) -> None:
    """A promise of the old contract that cannot be kept is named, with what would help; else there is nothing."""
    found = "; ".join(obstacles(OLD, new))
    assert told in found and bool(told) == bool(found)
    if told:
        with pytest.raises(UsageError, match="Major 2 cannot answer applications of major 1"):
            Converted(Kinds(), old=OLD, new=new)


AMOUNT = Output(name="value", type="float64", semantics="value", minimum=0, maximum=10, unit="EUR")
NUMBER = Signature(task="regression", inputs=(Field(name="x", type="float64"),), outputs=(AMOUNT,))
CENTS = replace(AMOUNT, maximum=1000, unit="ct")


def test_numbers_go_back_into_their_old_unit() -> None:
    """So many of the new unit are one of the old, for inputs and outputs alike."""

    class Hundredfold:
        def predict(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
            return frame["x"].to_numpy() * 100

    new = replace(NUMBER, outputs=(CENTS,), major=2, conversion=Conversion(factors={"value": 100}))
    (answer,) = served(NUMBER, new, Hundredfold()).predict_rows([{"x": 2.5}])
    assert answer["value"] == 2.5
    more = replace(new, outputs=(replace(CENTS, maximum=1001),))
    assert list(obstacles(NUMBER, more)) == ["output value gives more than it did (maximum)"]
    assert "was in EUR and is in ct" in next(obstacles(NUMBER, replace(new, conversion=None)))


def test_a_contract_says_only_what_can_be() -> None:
    """A conversion from nothing, by nothing, or of what there is not."""
    with pytest.raises(ProjectError, match="converts from the major before"):
        Contract(conversion=SAID)
    with pytest.raises(ProjectError, match="by 0"):
        Contract(major=2, conversion=Conversion(factors={"duration": 0}))
    for wrong in (Conversion(defaults={"prt": 1}), Conversion(factors={"prt": 1})):
        with pytest.raises(ProjectError, match="'prt', which the model neither takes nor gives"):
            Contract(major=2, conversion=wrong).applied(replace(NEW, conversion=None))
    assert Contract(major=2, conversion=SAID).applied(NEW).conversion == SAID


class Promising:
    """Gives anything that a signature promises."""

    is_brief, runtime = True, "test"

    def __init__(self, signature: Signature) -> None:
        self.signature = signature

    def predict(self, batch: Any) -> Any:
        found = []
        for output in self.signature.outputs:
            if output.semantics == "probability":
                found.append(np.full((batch.height, len(output.labels)), 1 / len(output.labels)))
            elif output.labels:
                found.append(np.array([output.labels[0]] * batch.height))
            else:
                least = output.minimum if output.minimum is not None else 0
                found.append(np.full(batch.height, least, dtype=float if output.type.startswith("float") else int))
        return tuple(found)


@settings(max_examples=30, deadline=None)
@given(change=changes())
def test_what_has_no_obstacle_answers_every_old_row(change: tuple[Signature, Signature]) -> None:
    """A random change of a random contract: where nothing stands against it, all old rows get answers of old."""
    old, new = change
    assume(not list(obstacles(old, new)))
    model = ServedModel(
        "m", Converted(Promising(new), old=old, new=new), version=2, signature=replace(old, max_rows=99)
    )
    made = MadeRows(old)
    rows = [*made.ordinary(8), *made.extreme(16)]
    found = model.predict(model.records.decode(request_body(rows)))
    assert len(json.loads(found.json())) == len(rows)
    for output, values in zip(old.outputs, found.outputs, strict=True):
        if output.labels and output.semantics != "probability":
            assert set(values.tolist()) <= set(output.labels)
