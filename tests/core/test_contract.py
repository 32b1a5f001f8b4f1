"""What a project says of a model's API is in its signature, or refused where it is written."""

from __future__ import annotations

from typing import Any

import pytest

from filiera.core import plain
from filiera.core.contract import Contract
from filiera.core.signature import Field, Output, Signature, Slo
from filiera.errors import FilieraError, ProjectError

SIGNATURE = Signature(
    task="classification",
    inputs=(Field(name="duration", type="float64"), Field(name="user", type="string")),
    outputs=(Output(name="label", type="string", semantics="label", labels=("a", "b")),),
    examples=({"duration": 1.0, "user": "ann"}, {"duration": 1.0, "user": "Zoe"}, {"duration": 1.0, "user": "x" * 9}),
)


def test_what_is_said_is_in_the_signature() -> None:
    """Everything said counts for the hash; examples that break it are left out."""
    said = Contract(
        major=2,
        defaults={"duration": 0.5},
        units={"duration": "s", "label": "kind"},
        max_lengths={"user": 8},
        patterns={"user": "^[a-z]+$"},
        extensible=True,
        max_rows=7,
        p95_ms=20,
        at_rows=5,
        deterministic=False,
    )
    made = said.applied(SIGNATURE)
    assert made.inputs == (
        Field(name="duration", type="float64", optional=True, default=0.5, unit="s"),
        Field(name="user", type="string", max_length=8, pattern="^[a-z]+$"),
    )
    assert made.outputs[0] == Output(
        name="label", type="string", semantics="label", labels=("a", "b"), extensible=True, unit="kind"
    )
    assert (made.major, made.max_rows, made.slo, made.deterministic) == (2, 7, Slo(p95_ms=20.0, rows=5), False)
    assert made.examples == ({"duration": 1.0, "user": "ann"},)
    assert made.hash != SIGNATURE.hash == Contract().applied(SIGNATURE).hash
    assert plain.decode(plain.encode(said)) == said


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"major": 0}, "major is 0"),
        ({"max_rows": True}, "max_rows is True"),
        ({"p95_ms": 0}, "p95_ms is 0"),
        ({"p95_ms": float("nan")}, "p95_ms is nan"),
        ({"max_lengths": {"user": -1}}, "the length of 'user' is -1"),
        ({"patterns": {"user": "(a"}}, "not closed"),
    ],
)
def test_a_contract_that_cannot_be_kept_is_refused(said: dict[str, Any], message: str) -> None:
    """At birth, where it is written."""
    with pytest.raises(FilieraError) as caught:
        Contract(**said)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"units": {"durations": "s"}}, "Did you mean 'duration'"),
        ({"ranges": {"value": (0, 1)}}, "neither takes nor gives"),
        ({"max_lengths": {"duration": 3}}, "It is a float64"),
    ],
)
def test_a_contract_speaks_of_what_there_is(said: dict[str, Any], message: str) -> None:
    """A name or type that does not fit the model is told."""
    with pytest.raises(ProjectError) as caught:
        Contract(**said).applied(SIGNATURE)
    assert message in str(caught.value)
