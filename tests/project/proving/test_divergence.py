from __future__ import annotations

import pytest

from filiera.project.proving.divergence import (
    Cause,
    differing_facts,
    differing_versions,
    explain_chance,
    explain_difference,
    explain_failure,
)
from filiera.project.proving.suspects import Kind, Suspect


def suspect(kind: Kind) -> Suspect:
    return Suspect(kind, f"a {kind}", "flows.data:noise")


@pytest.mark.parametrize(
    ("kinds", "cause", "words"),
    [
        (("order", "clock", "chance"), "chance", "draws random numbers, a chance in flows.data:noise"),
        (("order", "clock"), "clock", "reads the clock, a clock in flows.data:noise"),
        (("order",), "order", "the order in which something comes may decide"),
        ((), "order", "PYTHONHASHSEED was not set"),
    ],
)
def test_the_likeliest_suspect_is_named(kinds: tuple[Kind, ...], cause: Cause, words: str) -> None:
    """Random numbers before the clock before an order; without any, what hash seeds do."""
    found = explain_chance("noise", 2, [suspect(kind) for kind in kinds], "")
    assert (found.step, found.cause, words in found.why) == ("noise", cause, True), found.why
    assert "returned 2 different values" in found.why
    assert found.do


def test_a_set_hash_seed_is_not_suspected() -> None:
    """With PYTHONHASHSEED the order of sets is the same each time."""
    assert "PYTHONHASHSEED" not in explain_chance("noise", 3, [], "0").why


@pytest.mark.parametrize(
    ("code", "facts", "cause", "words"),
    [
        (["constant flows:X changed"], ["Python was 3.11 and is 3.12"], "code", "constant flows:X changed"),
        ([], ["Python was 3.11 and is 3.12"], "environment", "Python was 3.11 and is 3.12"),
        ([], [], "unknown", "Nothing that is recorded differs"),
    ],
)
def test_a_lasting_difference_is_of_code_then_environment(
    code: list[str], facts: list[str], cause: Cause, words: str
) -> None:
    """The same value each time, but not that of the record."""
    found = explain_difference("fit", code, facts)
    assert (found.cause, words in found.why) == (cause, True), found.why


def test_a_failure_is_told_as_it_is() -> None:
    """What the step said is the reason."""
    found = explain_failure("fit", "FileNotFoundError: x.csv")
    assert (found.cause, "FileNotFoundError: x.csv" in found.why) == ("failed", True)


def test_only_what_was_recorded_and_differs_is_told() -> None:
    """A fact that one side does not know says nothing; '' means that it was not set."""
    then = {"python": "3.11.7", "processor": "A", "hash_seed": "", "filiera": "0.1.0"}
    now = {"python": "3.11.7", "processor": "B", "hash_seed": "3", "processors": 2}
    assert differing_facts(then, now) == [
        "the processor was A and is B",
        "PYTHONHASHSEED was not set and is 3",
    ]


def test_versions_are_compared_by_name() -> None:
    """Changed, gone, new, working copies and addresses; a long list is cut."""
    then = ["a==1", "b==1", "# c==1 is a working copy: file:///c", "d @ https://x/d-1.whl"]
    now = ["a==2", "c==1", "d @ https://x/d-2.whl", "e==1"]
    assert differing_versions(then, now) == [
        "a was 1 and is 2",
        "b was 1 and is not installed",
        "c was 1 (a working copy) and is 1",
        "d was https://x/d-1.whl and is https://x/d-2.whl",
        "e was not installed and is 1",
    ]
    assert differing_versions(then, then) == []
    many = differing_versions([], [f"x{number}==1" for number in range(10)])
    assert (len(many), many[-1]) == (7, "4 more")
