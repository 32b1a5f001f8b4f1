"""What gates say of a candidate, against limits and against the champion."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core import plain
from filiera.core.gate import Gate, GateReport
from filiera.core.metric import Metric, Metrics
from filiera.core.verdict import Verdict
from filiera.errors import ProjectError
from filiera.model import gates as judged


def decide(gates: list[Gate], candidate: Metrics, champion: Metrics | None) -> GateReport:
    return GateReport(judged.decide(gates, candidate, champion))


def metrics(value: float, half_width: float = 0.02, *, name: str = "f1_macro", evaluation: str = "") -> Metrics:
    metric = Metric(name=name, value=value, low=value - half_width, high=value + half_width, n=200, method="bootstrap")
    return Metrics((metric,), task="classification", evaluation=evaluation)


def loss(value: float, half_width: float = 0.1) -> Metrics:
    metric = Metric(
        name="mae",
        value=value,
        low=value - half_width,
        high=value + half_width,
        n=200,
        method="bootstrap",
        greater_is_better=False,
    )
    return Metrics((metric,), task="regression")


@pytest.mark.parametrize(
    ("gate", "passes"),
    [
        (Gate("f1_macro", at_least=0.93), True),
        (Gate("f1_macro", at_least=0.94), False),
        (Gate("f1_macro", at_most=0.97), True),
        (Gate("f1_macro", at_most=0.96), False),
    ],
    ids=str,
)
def test_limit_is_compared_with_the_bound(gate: Gate, passes: bool) -> None:
    """A model at 0.95 ± 0.0175 has shown 0.93 and not 0.94, though its point is above both."""
    report = decide([gate], metrics(0.95, 0.0175), None)
    assert report.blocks is not passes
    assert report.results[0].passed is passes


def test_bound_equal_to_the_limit_passes() -> None:
    """At least means at least."""
    assert not decide([Gate("f1_macro", at_least=0.75)], metrics(0.875, 0.125), None).blocks


def test_report_is_a_verdict_and_plain() -> None:
    """The engine stops a run on a report, and a report can be recorded."""
    report = decide([Gate("f1_macro", at_least=0.9), Gate("gone", at_most=1)], metrics(0.95), None)
    assert isinstance(report, Verdict)
    assert plain.decode(plain.encode(report)) == report


def test_no_gates_do_not_block() -> None:
    """Without gates nothing is asked."""
    assert decide([], metrics(0.1), None) == GateReport(())
    assert not GateReport(()).blocks


def test_no_champion_yet_passes() -> None:
    """The first version has nothing to be worse than, and the report says so."""
    result = decide([Gate("f1_macro", not_worse_than="champion")], metrics(0.2), None).results[0]
    assert result.passed
    assert "no champion yet" in result.reason


def test_same_answers_on_the_same_rows_are_no_difference() -> None:
    """A rebuilt champion passes with margin 0, however few rows there are."""
    gate = Gate("f1_macro", not_worse_than="champion")
    result = decide([gate], metrics(0.9, evaluation="e"), metrics(0.9, evaluation="e")).results[0]
    assert result.passed
    assert (result.observed, result.bound_used) == (0.0, 0.0)


def test_equal_numbers_on_other_rows_are_not_the_same_answers() -> None:
    """Without equal evaluation digests an equal value keeps its uncertainty."""
    gate = Gate("f1_macro", not_worse_than="champion")
    assert decide([gate], metrics(0.9, evaluation="e"), metrics(0.9, evaluation="f")).blocks


def test_difference_has_the_independent_normal_interval() -> None:
    """Half-widths 0.03 and 0.04 make 0.05 for the difference."""
    gate = Gate("f1_macro", not_worse_than="champion", margin=0.05)
    result = decide([gate], metrics(0.9, 0.03), metrics(0.9, 0.04)).results[0]
    assert result.bound_used == pytest.approx(-0.05)
    assert result.detectable == pytest.approx(0.05 * 1.4294, rel=1e-4)
    assert "conservative" in result.reason


def test_levels_are_brought_together() -> None:
    """A champion recorded with a 99 % interval is not judged as if its interval were one of 95 %."""
    ends = {"value": 0.9, "n": 200, "method": "x", "name": "f1_macro"}
    z95, z99 = 1.959963985, 2.575829304
    narrow = Metrics((Metric(low=0.9 - z95 / 100, high=0.9 + z95 / 100, **ends),), task="classification")  # type: ignore[arg-type]
    wide = Metrics((Metric(low=0.9 - z99 / 100, high=0.9 + z99 / 100, level=0.99, **ends),), task="classification")  # type: ignore[arg-type]
    gate = Gate("f1_macro", not_worse_than="champion", margin=0.1)
    by_narrow, by_wide = (decide([gate], narrow, champion).results[0].bound_used for champion in (narrow, wide))
    assert by_narrow == pytest.approx(-math.sqrt(2) * z95 / 100)
    assert by_wide == pytest.approx(-math.sqrt(2) * z95 / 100)


def test_smaller_loss_is_an_improvement() -> None:
    """For errors the sign turns: less is better, and an upper limit is the one to use."""
    gate = Gate("mae", not_worse_than="champion", margin=0.2)
    assert not decide([gate], loss(2.0), loss(2.5)).blocks
    assert decide([gate], loss(2.5), loss(2.0)).blocks
    assert decide([Gate("mae", at_most=2.05)], loss(2.0), None).blocks


def test_missing_metric_blocks_and_lists_what_there_is() -> None:
    """A gate that cannot be decided is not passed."""
    report = decide([Gate("auc", at_least=0.5)], metrics(0.99), None)
    assert report.blocks
    assert "f1_macro" in report.summary


def test_metric_the_champion_lacks_blocks() -> None:
    """A comparison with a number that was never recorded is not passed."""
    report = decide([Gate("f1_macro", not_worse_than="champion")], metrics(0.9), metrics(0.9, name="other"))
    assert report.blocks
    assert "champion's record lacks" in report.summary


@pytest.mark.parametrize("gate", [Gate("f1_macro", at_least=0), Gate("f1_macro", not_worse_than="champion")], ids=str)
def test_nan_blocks(gate: Gate) -> None:
    """Not a number is not good enough, neither the candidate's nor the champion's."""
    broken = metrics(math.nan)
    assert decide([gate], broken, metrics(0.5)).blocks
    if gate.not_worse_than:
        assert decide([gate], metrics(0.5), broken).blocks


def test_summary_says_how_finely_the_rows_can_see() -> None:
    """A pass on few rows names the difference that could have been missed."""
    report = decide([Gate("f1_macro", at_least=0.8)], metrics(0.95, 0.043), None)
    assert report.summary == "1 of 1 gates passed (known: f1_macro to 0.0615)"
    assert "200 rows" in report.results[0].reason


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"at_least": 0.5, "at_most": 0.9},
        {"at_least": math.nan},
        {"at_most": "0.5"},
        {"at_least": True},
        {"not_worse_than": "latest"},
        {"not_worse_than": "champion", "margin": -0.1},
        {"not_worse_than": "champion", "margin": math.inf},
        {"at_least": 0.5, "margin": 0.1},
    ],
    ids=str,
)
def test_unclear_gate_is_refused_at_birth(conditions: dict[str, object]) -> None:
    """A gate has one condition, with finite numbers, or the project's code is told what is wrong."""
    with pytest.raises(ProjectError, match="f1_macro"):
        Gate("f1_macro", **conditions)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", None, 3])
def test_gate_needs_the_name_of_a_metric(name: object) -> None:
    """A gate without a metric is refused."""
    with pytest.raises(ProjectError):
        Gate(name, at_least=0.5)  # type: ignore[arg-type]


shares = st.floats(0.05, 0.95)
widths = st.floats(0.0, 0.05)


@given(value=shares, champion=shares, width=widths, margin=st.floats(0, 0.3), more=st.floats(0, 0.04))
def test_better_models_and_wider_margins_never_lose(
    value: float, champion: float, width: float, margin: float, more: float
) -> None:
    """What passes still passes when the candidate is better, or when more loss is tolerated."""

    def passes(candidate: float, tolerated: float) -> bool:
        gate = Gate("f1_macro", not_worse_than="champion", margin=tolerated)
        return not decide([gate], metrics(candidate, width, evaluation="a"), metrics(champion, width)).blocks

    rounding = 1e-9
    if passes(value - rounding, margin):
        assert passes(value + more, margin)
        assert passes(value, margin + more)
