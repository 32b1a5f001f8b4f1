"""Every change that applications can notice is called a break, and no other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filiera.core.signature import Field, Output, Signature, Slo
from filiera.serving.contracts.differ import diff
from filiera.serving.contracts.finding import Finding, bump
from tests.serving.contracts.mutations import OURS, breaks, changes, contracts

SLOW = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)


def judge(data: st.DataObject, old: Signature, new: Signature) -> tuple[bool, tuple[Finding, ...]]:
    """Return whether the change is a break, after comparing what the differ says with what the oracle finds."""
    found = diff(old, new)
    # Whether a pattern keeps texts short anyhow is not decided: a limit of their length beside one counts as a break.
    shaped = {f"inputs.{field.name}" for field in old.inputs if field.pattern}
    unsure = {finding for finding in found if finding.rule == "input-length-lowered" and finding.at in shaped}
    said = {finding.rule for finding in found if finding.level == "ERR"}
    noticed = breaks(data.draw, old, new)
    if noticed:
        assert said, f"a break was not seen: {found}"
    if {finding.rule for finding in found if finding.level == "ERR" and finding not in unsure} - OURS:
        assert noticed, f"a harmless change is called a break: {said}"
    return bool(said), found


@settings(SLOW, max_examples=40)
@given(data=st.data(), change=changes())
def test_what_is_noticed_is_a_break_and_nothing_else(data: st.DataObject, change: tuple[Signature, Signature]) -> None:
    """A random change is a break just if an old request is refused, an answer is new, or a meaning changed."""
    judge(data, *change)


@pytest.mark.campaign
def test_campaign_of_random_changes() -> None:
    """Two thousand random changes: every break caught, no harmless change blocked."""
    counts: Counter[str] = Counter()

    @settings(SLOW, max_examples=2_000, database=None)
    @given(data=st.data(), change=changes())
    def run(data: st.DataObject, change: tuple[Signature, Signature]) -> None:
        is_break, found = judge(data, *change)
        if change[0] != change[1]:
            counts["breaks" if is_break else "harmless"] += 1
            counts.update({finding.rule for finding in found})

    run()
    changed = counts["breaks"] + counts["harmless"]
    print(
        f"{changed:,} changes: {counts.pop('breaks'):,} breaks, {counts.pop('harmless'):,} harmless; by rule: {counts}"
    )
    assert changed >= 500


@given(signature=contracts())
def test_equal_signatures_have_no_difference(signature: Signature) -> None:
    """Nothing changed, nothing found."""
    assert diff(signature, signature) == ()
    assert bump(()) == "none"


@SLOW
@given(change=changes())
def test_a_change_that_counts_for_the_hash_is_found(change: tuple[Signature, Signature]) -> None:
    """What is another contract by its hash has a finding, unless both say the same in other words."""
    old, new = change
    if not diff(old, new):
        assert old.hash == new.hash or bump(diff(new, old)) == "none"


RATE = Field(name="rate", type="float64", minimum=0, maximum=1, unit="1/s")
KIND = Field(name="kind", type="string", values=("tcp", "udp"))
NOTE = Field(name="note", type="string", max_length=9, pattern="^a", optional=True, default="a", nullable=True)
MORE = Field(name="new", type="bool", optional=True, default=True)
LABEL = Output(name="label", type="string", semantics="label", labels=("a", "b"))
SHARE = Output(name="p", type="float64", semantics="probability", labels=("a", "b"))
SCORE = Output(name="score", type="float32", semantics="score", minimum=0, maximum=1)
OLD = Signature(
    task="classification", inputs=(RATE, KIND, NOTE), outputs=(LABEL, SHARE, SCORE), max_rows=10, slo=Slo(p95_ms=20)
)


def inputs(*fields: Field) -> Signature:
    return replace(OLD, inputs=fields)


def outputs(*given: Output) -> Signature:
    return replace(OLD, outputs=given)


TABLE: list[tuple[Signature, str, str, str]] = [
    (inputs(RATE, KIND, NOTE, Field(name="new", type="bool")), "input-required", "ERR", "major"),
    (inputs(RATE, KIND, NOTE, MORE), "input-added", "INFO", "minor"),
    (inputs(RATE, KIND), "input-removed", "ERR", "major"),
    (inputs(replace(RATE, maximum=0.5), KIND, NOTE), "input-maximum-lowered", "ERR", "major"),
    (inputs(replace(RATE, minimum=0.5), KIND, NOTE), "input-minimum-raised", "ERR", "major"),
    (inputs(RATE, replace(KIND, values=("tcp",)), NOTE), "input-values-removed", "ERR", "major"),
    (inputs(RATE, KIND, replace(NOTE, max_length=8)), "input-length-lowered", "ERR", "major"),
    (inputs(RATE, KIND, replace(NOTE, pattern="a$")), "input-pattern-changed", "ERR", "major"),
    (inputs(RATE, KIND, replace(NOTE, nullable=False)), "input-not-nullable", "ERR", "major"),
    (inputs(replace(RATE, type="int8"), KIND, NOTE), "input-type-narrowed", "ERR", "major"),
    (inputs(replace(RATE, type="float32"), KIND, NOTE), "input-type", "WARN", "patch"),
    (inputs(replace(RATE, maximum=2), KIND, NOTE), "input-widened", "INFO", "minor"),
    (inputs(RATE, KIND, replace(NOTE, default="aa")), "input-default", "ERR", "major"),
    (inputs(RATE, KIND, replace(NOTE, optional=False, default=None)), "input-required", "ERR", "major"),
    (inputs(replace(RATE, optional=True, default=0.5), KIND, NOTE), "input-may-be-missing", "INFO", "minor"),
    (inputs(replace(RATE, unit="1/min"), KIND, NOTE), "unit", "ERR", "major"),
    (inputs(KIND, RATE, NOTE), "input-order", "INFO", "patch"),
    (inputs(replace(RATE, sensitive=True), KIND, NOTE), "input-sensitive", "INFO", "patch"),
    (outputs(LABEL, SHARE), "output-removed", "ERR", "major"),
    (outputs(LABEL, SHARE, replace(SCORE, maximum=100)), "output-maximum-raised", "ERR", "major"),
    (outputs(LABEL, SHARE, replace(SCORE, minimum=-1)), "output-minimum-lowered", "ERR", "major"),
    (outputs(LABEL, SHARE, replace(SCORE, maximum=0.5)), "output-narrowed", "INFO", "patch"),
    (outputs(LABEL, SHARE, replace(SCORE, type="float64")), "output-type", "WARN", "patch"),
    (outputs(LABEL, SHARE, replace(SCORE, semantics="value")), "output-semantics", "ERR", "major"),
    (outputs(replace(LABEL, labels=("a", "b", "c")), SHARE, SCORE), "output-label-added", "ERR", "major"),
    (outputs(replace(LABEL, labels=("a",)), SHARE, SCORE), "output-label-removed", "INFO", "patch"),
    (outputs(LABEL, replace(SHARE, labels=("a",)), SCORE), "output-label-removed", "ERR", "major"),
    (outputs(LABEL, replace(SHARE, labels=("b", "a")), SCORE), "output-label-order", "ERR", "major"),
    (outputs(replace(LABEL, extensible=True), SHARE, SCORE), "output-labels-opened", "ERR", "major"),
    (replace(OLD, max_rows=9), "batch-limit-lowered", "WARN", "patch"),
    (replace(OLD, max_rows=11), "batch-limit-raised", "INFO", "minor"),
    (replace(OLD, slo=None), "slo-loosened", "WARN", "patch"),
    (replace(OLD, slo=Slo(p95_ms=21)), "slo-loosened", "WARN", "patch"),
    (replace(OLD, slo=Slo(p95_ms=20, rows=5)), "slo-tightened", "INFO", "patch"),
    (replace(OLD, deterministic=False), "not-deterministic", "ERR", "major"),
    (replace(OLD, task="ranking"), "task", "WARN", "patch"),
    (replace(OLD, major=2), "major", "ERR", "major"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("new", "rule", "level", "raised"), TABLE, ids=[f"{row[1]}-{i}" for i, row in enumerate(TABLE)]
)
def test_each_rule(new: Signature, rule: str, level: str, raised: str) -> None:
    """Each kind of change has its rule, level and step of the version, and is the only finding."""
    (found,) = diff(OLD, new)
    assert (found.rule, found.level, bump([found])) == (rule, level, raised)
    assert found.text


@pytest.mark.parametrize("is_open", [False, True])
def test_a_label_may_be_added_where_that_was_announced(is_open: bool) -> None:
    """Applications that were told to cope with further labels are warned, others break."""
    old = outputs(replace(LABEL, extensible=is_open), replace(SHARE, extensible=is_open))
    more: Any = {"labels": ("a", "b", "c"), "extensible": is_open}
    found = diff(old, outputs(replace(LABEL, **more), replace(SHARE, **more)))
    assert [(one.rule, one.level) for one in found] == [("output-label-added", "WARN" if is_open else "ERR")] * 2


def test_breaks_come_first_and_keep_their_fingerprint() -> None:
    """The list is the same each time; the fingerprint of a change does not depend on the others."""
    new = replace(OLD, inputs=(replace(RATE, maximum=0.5), replace(KIND, values=("tcp", "udp", "icmp"))), max_rows=9)
    found = diff(OLD, new)
    assert [one.level for one in found] == ["ERR", "ERR", "WARN", "INFO"]
    alone = diff(OLD, inputs(replace(RATE, maximum=0.5), KIND, NOTE))
    assert alone[0].fingerprint in {one.fingerprint for one in found}
    assert len({one.fingerprint for one in found}) == 4
