from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pytest

from filiera import log_metric, step
from filiera.errors import UsageError
from filiera.model.samplers import sampler_of
from filiera.model.space import Space
from filiera.model.study import Notes, Search, Study, read_notes, study_of
from filiera.model.tune import Choice, Float, Hunt, Int, tune


@dataclass(frozen=True)
class Bowl:
    x: Annotated[float, Float(-5, 5)]
    y: Annotated[int, Int(-5, 5)]
    kind: Annotated[str, Choice("flat", "steep")] = "flat"


def depth(bowl: Bowl, extra: float = 0.0) -> float:
    if bowl.y == 5:
        raise ValueError("too far")
    return (bowl.x - 1) ** 2 + bowl.y**2 + (bowl.kind == "steep") + extra


SEARCH = Search(trials=40, goal="minimize", sampler="random")


def trials_of(study: Study) -> list[tuple[Any, ...]]:
    return [(trial.number, dict(trial.values), trial.state, trial.value) for trial in study.trials]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_one_seed_gives_the_same_trials(sampler: Any) -> None:
    """And another seed others."""
    first, second = (tune(depth, Bowl, replace(SEARCH, sampler=sampler, seed=3))[1] for _ in range(2))
    assert trials_of(first) == trials_of(second)
    other = tune(depth, Bowl, replace(SEARCH, sampler=sampler, seed=4))[1]
    assert trials_of(first) != trials_of(other)


def test_what_is_learnt_helps() -> None:
    """On a bowl, sixty trials of tpe come nearer to its bottom than the best of ten."""
    best, study = tune(depth, Bowl, Search(trials=60, goal="minimize"), extra=2.0)
    assert depth(best, 2.0) == study.best.value == study.so_far()[-1]
    assert study.so_far()[-1] < study.so_far()[9]


def test_a_trial_that_fails_does_not_fail_the_study() -> None:
    """It has no value, and its note says why; when all fail, that is told with the first reason."""
    study = tune(depth, Bowl, replace(SEARCH, trials=100))[1]
    failed = [trial for trial in study.trials if trial.state == "failed"]
    assert {trial.note for trial in failed} == {"ValueError: too far"}
    assert {trial.values["y"] for trial in failed} == {5}
    assert len(study.done) + len(failed) == 100

    def never(bowl: Bowl) -> float:
        raise RuntimeError("no GPU")

    with pytest.raises(UsageError, match=r"(?s)No trial.*5 failed\. Trial 0: RuntimeError: no GPU"):
        tune(never, Bowl, replace(SEARCH, trials=5))


def test_nan_is_worse_than_all() -> None:
    """It is a value, kept as it is, and never the best; infinity is what it says."""
    values = iter([math.nan, 3.0, math.inf, 2.0, math.nan])
    study = tune(lambda bowl: next(values), Bowl, replace(SEARCH, trials=5))[1]
    assert study.best.value == 2.0
    assert [math.isnan(trial.value or 0.0) for trial in study.trials] == [True, False, False, False, True]
    assert study.so_far()[1:] == [3.0, 3.0, 2.0, 2.0]


def test_a_grid_ends_by_itself() -> None:
    """With all of its points, whatever number of trials was asked for."""

    @dataclass(frozen=True)
    class Corners:
        a: Annotated[int, Int(0, 2)]
        b: Annotated[str, Choice("x", "y")]

    study = tune(lambda corners: corners.a, Corners, Search(trials=100, sampler="grid"))[1]
    assert sorted((t.values["a"], t.values["b"]) for t in study.trials) == [(a, b) for a in range(3) for b in "xy"]
    assert len(tune(lambda corners: corners.a, Corners, Search(trials=4, sampler="grid"))[1].trials) == 4


def test_patience_ends_a_study() -> None:
    """After so many trials in a row without a better one; the study says so."""
    study = tune(lambda bowl: 1.0, Bowl, replace(SEARCH, patience=6))[1]
    assert (len(study.trials), study.stopped) == (7, "6 trials in a row were no better")


def test_a_time_limit_ends_a_study(monkeypatch: pytest.MonkeyPatch) -> None:
    """No trial begins after it."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def slow(bowl: Bowl) -> float:
        now[0] += 10
        return 1.0

    study = tune(slow, Bowl, replace(SEARCH, time_limit_s=25))[1]
    assert (len(study.trials), study.stopped) == (3, "the time limit of 25 s was reached")


def test_a_logged_metric_can_be_the_goal() -> None:
    """The last value logged counts, whatever is returned; a trial that logs none has failed."""

    @step
    def train(bowl: Bowl) -> str:
        if bowl.y < 0:
            return "nothing"
        for epoch in range(3):
            log_metric("loss", bowl.y + 3 - epoch, epoch)
        return "a model"

    study = tune(train, Bowl, replace(SEARCH, metric="loss"))[1]
    assert all(trial.value == trial.values["y"] + 1 for trial in study.done)
    assert {trial.values["y"] < 0 for trial in study.trials if trial.state == "failed"} == {True}


def hunt(file: Path, search: Search) -> Hunt:
    space = Space(Bowl)
    found = Hunt(space, search, sampler_of(space, search, parallel=1), Notes(file))
    found.begin(["study", "run-1", "tune", "depth", "Bowl", search])
    return found


@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("cut", [0, 1, 3, 40, 77])
def test_a_study_goes_on_where_it_was_killed(tmp_path: Path, sampler: Any, cut: int) -> None:
    """With the trials it had, in the same order; those that had begun begin again; the rest are as if never killed."""
    search = replace(SEARCH, sampler=sampler, seed=1)
    whole = tmp_path / "whole"

    def go(one: Hunt) -> Study:
        while (found := one.next()) is not None:
            number, bowl = found
            one.ended(number, "done", float(bowl.y + bowl.x), "", [])
        return one.study()

    expected = trials_of(go(hunt(whole, search)))
    lines = whole.read_bytes().splitlines(keepends=True)
    (tmp_path / "cut").write_bytes(b"".join(lines[: cut + 1]) + b'["tell",0,"do')
    found = go(hunt(tmp_path / "cut", search))
    assert trials_of(found) == expected
    assert len(read_notes((tmp_path / "cut").read_bytes())[0]) >= len(lines)


def test_more_trials_go_on_with_those_there_are(tmp_path: Path) -> None:
    """A study of twenty trials is the beginning of one of thirty."""

    def go(trials: int) -> int:
        one, count = hunt(tmp_path / "notes", replace(SEARCH, trials=trials)), 0
        while (found := one.next()) is not None:
            one.ended(found[0], "done", 1.0, "", [])
            count += 1
        assert len(one.study().trials) == trials
        one._notes.close()
        return count

    assert (go(20), go(30), go(30)) == (20, 10, 0)


def test_fewer_trials_than_there_are(tmp_path: Path) -> None:
    """What a study returns follows from its search, not from a larger one before it; nor from one that ended later."""

    def go(search: Search) -> list[tuple[Any, ...]]:
        one = hunt(tmp_path / "notes", search)
        while (found := one.next()) is not None:
            one.ended(found[0], "done", float(min(found[0], 4)), "", [])
        one._notes.close()
        return trials_of(one.study())

    whole = go(replace(SEARCH, trials=30, goal="maximize"))
    assert go(replace(SEARCH, trials=12, goal="maximize")) == whole[:12]
    patient = replace(SEARCH, trials=30, goal="maximize", patience=7)
    assert go(patient) == whole[:12]
    assert go(replace(SEARCH, trials=30, goal="maximize")) == whole


def test_two_drivers_do_not_share_notes(tmp_path: Path) -> None:
    """The second one of an equal study at the same time keeps its notes to itself."""
    first, second = hunt(tmp_path / "notes", SEARCH), hunt(tmp_path / "notes", SEARCH)
    for one in (first, second):
        number, _ = one.next() or (-1, None)
        one.ended(number, "done", 1.0, "", [])
    assert len(read_notes((tmp_path / "notes").read_bytes())[0]) == 3
    assert len(second.study().trials) == 1


def test_a_study_is_the_fold_of_its_notes(tmp_path: Path) -> None:
    """What the file says is what the driver has, at any moment."""
    one = hunt(tmp_path / "notes", SEARCH)
    one.next()
    number, _ = one.next() or (-1, None)
    one.ended(number, "failed", None, "it broke", [])
    assert study_of(read_notes((tmp_path / "notes").read_bytes())[0]) == one.study()


def test_what_cannot_be_sampled_is_told_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid without end, one that is too large, and the sampler that needs Optuna without it."""

    @dataclass(frozen=True)
    class Large:
        a: Annotated[int, Int(0, 9_999)]
        b: Annotated[int, Int(0, 9_999)]

    for kind, told in ((Bowl, "no grid"), (Large, "100,000,000 points")):
        with pytest.raises(UsageError, match=told):
            tune(lambda one: 1.0, kind, Search(trials=3, sampler="grid"))
    monkeypatch.setattr("filiera.model.samplers.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"(?s)needs Optuna.*filiera\[tune\]"):
        tune(depth, Bowl, Search(trials=3))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"trials": 0}, "trials is a whole number from 1"),
        ({"goal": "max"}, "no goal 'max'"),
        ({"sampler": "tpee"}, "Did you mean 'tpe'"),
        ({"prune": True}, "Pruning needs a metric"),
        ({"time_limit_s": 0}, "above 0"),
        ({"seed": 1.5}, "seed is a whole number"),
    ],
)
def test_searches_that_cannot_be(wrong: dict[str, Any], told: str) -> None:
    """They are refused where they are written."""
    with pytest.raises(UsageError, match=told):
        Search(**{"trials": 3, **wrong})
