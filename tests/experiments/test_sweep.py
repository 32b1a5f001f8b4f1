"""Sweeps: many runs of one experiment, one commit, the best first."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera import Gate, Model, pipeline, step
from filiera.errors import UsageError
from filiera.experiments.records import runs_in
from filiera.experiments.starting import start
from filiera.experiments.sweeping import Sweep, settings_of
from tests.experiments.lab import Lab


@step
def model_of(depth: int, rate: float, kind: str, name: Any) -> str:
    return f"{depth} {rate} {kind} {name}"


@pipeline(kind="model", publishes=Model("m", gates=[Gate("accuracy", at_least=0.5)]))
def several(depth: int = 1, rate: float = 0.1, kind: str = "gini", name: Any = None):
    return model_of(depth, rate, kind, name)


def settings(
    grid: dict[str, str] | None = None, space: dict[str, str] | None = None, **more: Any
) -> list[dict[str, str]]:
    fixed = more.pop("fixed", {})
    return settings_of(Sweep(grid=grid or {}, space=space or {}, fixed=fixed, **more), several)


@given(
    st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True),
)
def test_a_grid_is_all_combinations(depths: list[int], kinds: list[str]) -> None:
    """In the order in which they are written, the last parameter fastest; those that are fixed are in all."""
    found = settings({"depth": ",".join(map(str, depths)), "kind": ",".join(kinds)}, fixed={"rate": "1"})
    assert [(int(one["depth"]), one["kind"]) for one in found] == list(itertools.product(depths, kinds))
    assert {one["rate"] for one in found} == {"1"}


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 30), st.integers(0, 9))
def test_draws_lie_in_their_ranges(low: int, width: int, trials: int, seed: int) -> None:
    """The same seed gives the same ones, and none twice."""
    ranges = {"depth": f"{low}..{low + width}", "rate": "0.001..0.1:log"}
    found = settings(space=ranges, trials=trials, seed=seed)
    assert found == settings(space=ranges, trials=trials, seed=seed) and len(found) <= trials
    assert all(low <= int(one["depth"]) <= low + width and 0.001 <= float(one["rate"]) <= 0.1 for one in found)
    few = settings(space={"depth": f"{low}..{low + width}"}, trials=trials, seed=seed)
    assert len({one["depth"] for one in few}) == len(few)


def test_a_range_of_whole_numbers_is_a_grid_too() -> None:
    """Where a parameter takes them; between others there is no end."""
    assert [one["depth"] for one in settings(space={"depth": "2..4"})] == ["2", "3", "4"]
    assert [one["name"] for one in settings(space={"name": "2..4"})] == ["2", "3", "4"]
    with pytest.raises(UsageError, match="no end of values between the ends of rate"):
        settings(space={"rate": "0..1"})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "What shall vary"),
        ({"grid": {"dept": "1,2"}}, "no parameter 'dept'"),
        ({"grid": {"depth": "1,two"}}, "--depth takes int, not 'two'"),
        ({"grid": {"depth": "1"}, "space": {"depth": "1..2"}}, "'depth' is given twice"),
        ({"grid": {"depth": "1"}, "fixed": {"depth": "1"}}, "'depth' is given twice"),
        ({"space": {"depth": "5..2"}}, "is no range"),
        ({"space": {"depth": "5"}}, "--depth takes int, not ''"),
        ({"space": {"rate": "0..1:log"}, "trials": 3}, "is no range"),
        ({"space": {"rate": "0..1:lin"}, "trials": 3}, "is no range"),
        ({"space": {"kind": "a..b"}, "trials": 3}, "is no range"),
        ({"space": {"depth": "0..10000"}}, "10,001 runs"),
    ],
)
def test_what_cannot_be_swept_is_said_before_anything_runs(asked: dict[str, Any], said: str) -> None:
    """Each with the words of the command line."""
    with pytest.raises(UsageError, match=said):
        settings(**asked)


def test_a_sweep_is_one_commit_with_a_record_of_each_run(lab: Lab) -> None:
    """The best comes first, values are in the records; what is alike is computed once."""
    start(lab.place(), "deeper")
    done = lab.command("experiment", "sweep", "deeper", "--grid", "depth=1,2,6", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    values = [one["metrics"]["accuracy"]["value"] for one in told]
    assert values == sorted(values, reverse=True) and len(set(values)) > 1
    records = runs_in(lab.place().records("deeper")["deeper"])
    assert sorted(record.parameters["depth"] for record in records) == [1, 2, 6]
    assert [record.run_id for record in reversed(records)] == [one["run"] for one in told]  # the best is the newest
    assert {record.run_id: dict(record.parameters) for record in records} == {
        one["run"]: one["parameters"] for one in told
    }
    assert {record.published for record in records} == {f"judge~deeper@{number}" for number in (1, 2, 3)}
    log = lab.git("log", "--format=%s", "main..exp/deeper").splitlines()
    assert log == ["Run train 3 times", "Start experiment deeper"]


def test_one_that_fails_does_not_stop_the_others(lab: Lab) -> None:
    """Its row says why; rejected ones are recorded too."""
    start(lab.place(), "deeper")
    lab.edit(
        "deeper", "flows/model.py", "    return DecisionTree", "    assert depth < 5, depth\n    return DecisionTree"
    )
    lab.edit("deeper", "flows/model.py", "at_least=0.6", "at_least=0.9")
    done = lab.command("experiment", "sweep", "deeper", "--grid", "depth=9,1,4")
    assert done.returncode == 1
    assert "1 succeeded" in done.stdout and "1 rejected" in done.stdout and "1 failed" in done.stdout
    assert "AssertionError: 9" in done.stdout and "committed 2 runs to exp/deeper" in done.stdout
    statuses = [(one.parameters["depth"], one.status) for one in runs_in(lab.place().records("deeper")["deeper"])]
    assert statuses == [(1, "rejected"), (4, "succeeded")]


def test_a_sweep_in_the_worktree_needs_no_name(lab: Lab) -> None:
    """The folder says which experiment it is; what is shown is sorted by the metric that is asked for."""
    lab.root = start(lab.place(), "deeper").worktree
    done = lab.command("experiment", "sweep", "--space", "depth=1..2", "--metric", "f1_macro")
    assert done.returncode == 0 and "2 runs: 2 succeeded" in done.stdout, done.stderr
    table = done.stdout.partition("DEPTH  F1_MACRO")[2]
    assert [line.split()[0] for line in table.splitlines()[1:3]] == ["2", "1"]
    assert done.stdout.count("0 ran, 5 from cache") == 1  # depth 1 is what main has
