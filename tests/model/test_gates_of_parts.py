"""Gates on slices, on groups, on costs and against the champion in pairs."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from filiera.core.evaluation import Evaluation, Fairness, Slice
from filiera.core.gate import Gate, GateReport, GateResult, Shared, Waiver, waive
from filiera.core.metric import Metric, Metrics
from filiera.errors import ProjectError
from filiera.model.gates import decide
from filiera.model.metrics.classification import classification_metrics


def found(value: float, name: str = "f1", half: float = 0.02) -> Metrics:
    metric = Metric(name=name, value=value, low=value - half, high=value + half, n=200, method="bootstrap")
    return Metrics((metric,), task="classification")


def evaluation(*slices: Slice, fairness: tuple[Fairness, ...] = (), metrics: Metrics | None = None) -> Evaluation:
    rows = pl.DataFrame({"row": [0], "truth": [0], "predicted": [0]})
    return Evaluation(metrics=metrics or found(0.9), slices=slices, fairness=fairness, rows=rows)


SLICED = evaluation(
    Slice(column="protocol", value="tcp", metrics=found(0.95)),
    Slice(column="protocol", value="udp", metrics=found(0.80)),
    Slice(column="hour", value=3, metrics=found(0.5)),
)


@pytest.mark.parametrize(
    ("gate", "passes"),
    [
        (Gate("f1", at_least=0.75, slice="protocol"), True),
        (Gate("f1", at_least=0.79, slice="protocol"), False),
        (Gate("f1", at_least=0.9, slice="protocol=tcp"), True),
        (Gate("f1", at_least=0.45, slice="hour=3"), True),
        (Gate("f1", at_most=0.9, slice="protocol"), False),
        (Gate("f1", at_least=0.1, slice="port"), False),
        (Gate("f1", at_least=0.1, slice="protocol=icmp"), False),
        (Gate("auc", at_least=0.1, slice="protocol"), False),
    ],
    ids=str,
)
def test_each_slice_must_pass(gate: Gate, passes: bool) -> None:
    """A gate over a column is decided by its worst value; one that was not evaluated is not passed."""
    assert decide([gate], SLICED, None)[0].passed is passes


def test_the_worst_slice_is_named() -> None:
    """The reason says which rows were not good enough."""
    (result,) = decide([Gate("f1", at_least=0.9, slice="protocol")], SLICED, None)
    assert "(protocol = udp)" in result.reason
    assert "misses 0.9 by 0.1200" in result.reason
    (result,) = decide([Gate("f1", at_least=0.9, slice="port")], SLICED, None)
    assert "protocol, hour" in result.reason
    (result,) = decide([Gate("f1", at_least=0.9, slice="port")], found(0.9), None)
    assert "return an Evaluation" in result.reason


def test_a_slice_is_compared_with_that_of_the_champion() -> None:
    """Each against its own; one that the champion was not asked about cannot be compared."""
    gate = Gate("f1", not_worse_than="champion", margin=0.05, slice="protocol")
    assert decide([gate], SLICED, SLICED)[0].passed
    worse = evaluation(
        Slice(column="protocol", value="tcp", metrics=found(0.7)),
        Slice(column="protocol", value="udp", metrics=found(0.9)),
    )
    (result,) = decide([gate], worse, SLICED)
    assert not result.passed
    assert "protocol = tcp" in result.reason
    (result,) = decide([gate], SLICED, evaluation(Slice(column="protocol", value="tcp", metrics=found(0.7))))
    assert "the champion's record lacks these rows" in result.reason


def test_groups_are_gated_on_their_difference() -> None:
    """Fairness is a metric of the difference between groups."""
    differences = found(0.08, "demographic_parity_difference")
    fair = evaluation(fairness=(Fairness(column="sex", positive=1, groups=(), differences=differences),))
    gate = Gate("demographic_parity_difference", group="sex", at_most=0.1)
    assert decide([gate], fair, None)[0].passed
    assert str(gate) == "demographic_parity_difference at most 0.1, between groups of sex"
    assert not decide([Gate("demographic_parity_difference", group="sex", at_most=0.09)], fair, None)[0].passed
    (result,) = decide([Gate("demographic_parity_difference", group="age", at_most=0.5)], fair, None)
    assert "there are: sex" in result.reason


def test_costs_are_gated_like_metrics() -> None:
    """What is measured beside the evaluation is found by its name, and absent it blocks."""
    size = Metric(name="model_mb", value=3, low=3, high=3, n=1, method="bytes", greater_is_better=False)
    gates = [Gate("model_mb", at_most=4), Gate("model_mb", at_most=2)]
    assert [result.passed for result in decide(gates, found(0.9), None, {"model_mb": size})] == [True, False]
    assert not decide(gates, found(0.9), None)[0].passed


def pair(n: int, agree: float, seed: int = 0) -> tuple[Evaluation, Evaluation]:
    """Return a candidate that repairs some of the champion's errors and breaks nothing."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    before = np.where(rng.random(n) < 0.8, truth, 1 - truth)
    now = np.where(rng.random(n) < agree, before, truth)
    both = []
    for answers in (now, before):
        rows = pl.DataFrame({"row": range(n), "truth": truth, "predicted": answers})
        both.append(Evaluation(metrics=classification_metrics(truth, answers), rows=rows))
    return both[0], both[1]


@pytest.mark.parametrize("name", ["accuracy", "f1_macro"])
def test_pairs_see_what_independent_rows_do_not(name: str) -> None:
    """On the same 500 rows an improvement of 4 points is proven; taken as independent it would not be."""
    candidate, champion = pair(500, 0.8)
    gate = Gate(name, better_than="champion")
    (result,) = decide([gate], candidate, champion)
    assert result.passed
    assert "paired" in result.reason
    (alone,) = decide([gate], candidate.metrics, champion.metrics)
    assert not alone.passed
    assert "taken as independent" in alone.reason


def test_better_asks_for_more_than_not_worse() -> None:
    """A champion is not better than itself, by the least of its answers."""
    champion = pair(200, 1.0)[1]
    assert decide([Gate("accuracy", not_worse_than="champion")], champion, champion)[0].passed
    assert not decide([Gate("accuracy", better_than="champion")], champion, champion)[0].passed
    candidate = pair(500, 0.8)[0]
    assert not decide([Gate("accuracy", better_than="champion", margin=0.2)], candidate, pair(500, 0.8)[1])[0].passed


@pytest.mark.parametrize(
    "conditions",
    [
        {"better_than": "latest"},
        {"better_than": "champion", "not_worse_than": "champion"},
        {"better_than": "champion", "margin": -1},
        {"at_least": 0.5, "slice": 3},
        {"at_least": 0.5, "slice": "a", "group": "b"},
    ],
    ids=str,
)
def test_unclear_parts_are_refused_at_birth(conditions: dict[str, Any]) -> None:
    """As other gates without a clear condition."""
    with pytest.raises(ProjectError, match="f1"):
        Gate("f1", **conditions)


FAILED = GateResult(gate=Gate("f1", at_least=0.9), passed=False, reason="f1 at least 0.9: no")
WAIVER = Waiver(gate="f1 at least 0.9", reason="labels arrive in May", until="2026-12-31")


def test_a_waived_gate_does_not_block_and_stays_failed() -> None:
    """The report keeps both: that the gate failed, and why the model may pass."""
    waived = waive(FAILED, [Waiver(gate="other", reason="x", until="2026-12-31"), WAIVER])
    assert (waived.passed, waived.waiver) == (False, WAIVER)
    report = GateReport((waived,))
    assert not report.blocks
    assert report.summary == (
        "0 of 1 gates passed; waived until 2026-12-31 (labels arrive in May): f1 at least 0.9: no"
    )
    assert waive(FAILED, []).blocks
    passed = GateResult(gate=Gate("f1", at_least=0.9), passed=True, reason="")
    assert waive(passed, [WAIVER]).waiver is None


def test_rows_trained_on_and_tested_on_block() -> None:
    """Whatever the gates say: the evaluation cannot be believed."""
    report = GateReport((), Shared(training=80, evaluated=20, shared=3))
    assert report.blocks
    assert "3 of 20 evaluated rows equal one of 80 training rows" in report.summary
    assert not GateReport((), Shared(training=80, evaluated=20, shared=3, is_allowed=True)).blocks
    assert not GateReport((), Shared(training=80, evaluated=20, shared=0)).blocks
