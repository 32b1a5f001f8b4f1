from __future__ import annotations

import json
import math
import os
import signal
import statistics
from pathlib import Path
from typing import Any

import pytest

from filiera.model.study import Study, find_notes, study_of
from filiera.project.runs import Run
from tests.cli.command import filiera, started
from tests.projects import SmallProject

FLOWS = """
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from filiera import log_metric, pipeline, step
from filiera.model.tune import Choice, Float, Int, Search, Study, tune


@dataclass(frozen=True)
class Settings:
    depth: Annotated[int, Int(1, 20)]
    rate: Annotated[float, Float(0.001, 1, log=True)]
    kind: Annotated[str, Choice("a", "b")] = "a"


@step(stage="collect")
def rows(count: int) -> list[int]:
    return list(range(count))


@step(stage="train")
def fit(settings: Settings, rows: list[int]) -> float:
    if settings.depth == 20:
        raise ValueError("too deep")
    return len(rows) - (settings.depth - 7) ** 2 - math.log10(settings.rate) ** 2


@step(stage="evaluate")
def add(one: float, more: float) -> float:
    return one + more


def two_steps(settings: Settings, rows: list[int]) -> float:
    return add(fit(settings, rows), more=100.0)


@step(stage="train")
def use(settings: Settings) -> int:
    return settings.depth


@pipeline(kind="model")
def tuned(trials: int = 12, sampler: str = "random", parallel: int = 0):
    best, study = tune(fit, Settings, Search(trials=trials, sampler=sampler, parallel=parallel), rows=rows(10))
    return use(best), study


@pipeline(kind="model")
def chained():
    best, study = tune(two_steps, Settings, Search(trials=6, sampler="random"), rows=rows(10))
    return study


@step
def never(settings: Settings) -> float:
    raise RuntimeError("no GPU")


@pipeline(kind="model")
def hopeless():
    best, study = tune(never, Settings, Search(trials=4, sampler="random"))
    return use(best)


@step
def folds(rows: list[int], count: int) -> list[tuple[list[int], list[int]]]:
    return [([r for r in rows if r % count != f], [r for r in rows if r % count == f]) for f in range(count)]


@step
def fold_score(fold: tuple[list[int], list[int]], settings: Settings) -> float:
    train, test = fold
    return len(train) / len(test) - abs(settings.depth - 5)


@step
def mean(scores: list[float]) -> float:
    return sum(scores) / len(scores)


def cross_validated(settings: Settings, folds: list[tuple[list[int], list[int]]]) -> float:
    return mean(fold_score.map(folds, settings=settings))


@step
def spread(scores: list[float]) -> float:
    return max(scores) - min(scores)


@step(dynamic=True)
def nested(outer: list[tuple[list[int], list[int]]]) -> float:
    scores = []
    for train, test in outer:
        best, _ = tune(cross_validated, Settings, Search(trials=3, sampler="random"), folds=folds(train, count=2))
        scores.append(fold_score((train, test), best))
    return spread(scores)


@pipeline(kind="model")
def nesting():
    return nested(folds(rows(12), count=3))


@step
def waits(settings: Settings, gate: str, at: int) -> float:
    mark = Path("count")
    count = int(mark.read_text()) if mark.exists() else 0
    mark.write_text(str(count + 1))
    if count == at and Path(gate).exists():
        print("waiting", flush=True)
        with open(gate) as pipe:
            pipe.read()
    return float(settings.depth)


@pipeline(kind="model")
def waiting(gate: str = "gate", at: int = 7):
    best, study = tune(waits, Settings, Search(trials=10, sampler="tpe", parallel=1), gate=gate, at=at)
    return study
"""


PRUNED = """
from dataclasses import dataclass
from typing import Annotated

from filiera import log_metric, pipeline, step
from filiera.model.tune import Int, Search, Study, tune


@dataclass(frozen=True)
class Net:
    width: Annotated[int, Int(1, 30)]


@step(stage="train", retries=2)
def train(net: Net) -> str:
    loss = float(net.width)
    for epoch in range(10):
        loss *= 0.9
        log_metric("loss", loss, epoch)
    return "a model"


@pipeline(kind="model")
def pruned(trials: int = 25, prune: bool = True):
    search = Search(trials=trials, sampler="random", goal="minimize", metric="loss", prune=prune)
    best, study = tune(train, Net, search)
    return study
"""


@pytest.fixture
def small(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path, {"flows.py": FLOWS})


def study_in(run: Run, step: str = "tune") -> Study:
    found: Study = run.value(step, 1)
    return found


def statuses(run: Run) -> dict[str, str]:
    return {name: state.status for name, state in run.state.steps.items()}


def test_trials_are_steps_of_the_run(small: SmallProject) -> None:
    """Each with its parameters, its place in the cache, and its failure; the best goes on to other steps."""
    run = small.run("tuned", trials=30)
    assert run.status == "succeeded"
    study = study_in(run)
    ended = statuses(run)
    for trial in study.trials:
        name = f"tune[{trial.number}].fit"
        assert ended[name] == ("failed" if trial.values["depth"] == 20 else "succeeded")
    assert {trial.note for trial in study.trials if trial.state == "failed"} == {"ValueError: too deep"}
    assert run.value("use") == study.best.values["depth"]
    again = small.run("tuned", trials=30)
    assert statuses(again) == {"rows": "hit", "tune": "hit", "use": "hit"}


def test_more_trials_compute_only_what_is_new(small: SmallProject) -> None:
    """The trials of the smaller study are those of the larger one; how many run at once makes no difference."""
    first = study_in(small.run("tuned", trials=5))
    run = small.run("tuned", trials=8, parallel=1)
    assert study_in(run).trials[:5] == first.trials
    assert [name for name in statuses(run) if name.startswith("tune[")] == [f"tune[{n}].fit" for n in (5, 6, 7)]


def test_notes_that_are_gone_cost_nothing_that_is_cached(small: SmallProject) -> None:
    """Random trials follow from the seed: without the notes they are asked for again, and are hits."""
    small.run("tuned", trials=5)
    for file in (small.root / ".filiera" / "studies").iterdir():
        file.unlink()
    ended = statuses(small.run("tuned", trials=6))
    assert [ended[f"tune[{n}].fit"] for n in range(6)] == ["hit"] * 5 + ["succeeded"]


def test_a_study_that_is_asked_for_afresh_begins_anew(small: SmallProject) -> None:
    """--fresh tune runs all of its trials."""
    small.run("tuned", trials=4)
    ended = statuses(small.run("tuned", trials=4, fresh=("tune",)))
    assert [ended[f"tune[{n}].fit"] for n in range(4)] == ["succeeded"] * 4


def test_a_trial_may_be_several_steps(small: SmallProject) -> None:
    """Its value is what the last of them returns."""
    run = small.run("chained")
    assert {"tune[5].fit", "tune[5].add"} <= set(run.state.steps)
    for trial in study_in(run).done:
        expected = 110 - (trial.values["depth"] - 7) ** 2 - math.log10(trial.values["rate"]) ** 2
        assert trial.value == pytest.approx(expected)


def test_when_all_trials_fail_the_step_says_why(small: SmallProject) -> None:
    """And what needs it does not run."""
    run = small.run("hopeless")
    assert run.status == "failed"
    assert "No trial of never has a value" in run.state.message
    assert statuses(run)["use"] == "blocked"


def test_a_study_whose_notes_cannot_be_kept_fails_its_step(small: SmallProject) -> None:
    """And not the driver; when they can be kept, it begins."""
    (small.root / ".filiera").mkdir(exist_ok=True)
    (small.root / ".filiera" / "studies").touch()
    run = small.run("tuned")
    assert (run.status, statuses(run)["tune"]) == ("failed", "failed")
    (small.root / ".filiera" / "studies").unlink()
    assert small.run("tuned").status == "succeeded"


def test_nested_cross_validation(small: SmallProject) -> None:
    """A dynamic step tunes on the folds of each outer fold; folds that are there are taken from the cache."""
    run = small.run("nesting")
    assert run.status == "succeeded", run.state.message
    names = set(run.state.steps)
    assert {"nested.tune[0].fold_score[1]", "nested.tune-3[2].mean"} <= names
    assert set(statuses(small.run("nesting")).values()) == {"hit"}


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_trials_worse_than_the_median_are_pruned(tmp_path: Path, executor: str) -> None:
    """At the step where that shows, after five trials are done; a pruned trial is tried no second time."""
    small = SmallProject(tmp_path, {"flows.py": PRUNED}, executor=executor)
    run = small.run("pruned")
    assert run.status == "succeeded", run.state.message
    study, whole = study_in(run), study_in(small.run("pruned", prune=False))
    pruned = [trial for trial in study.trials if trial.state == "pruned"]
    assert len(pruned) + len(study.done) == 25
    assert pruned
    assert all(trial.note.startswith("At step 0 loss was") for trial in pruned)
    assert {run.state.steps[f"tune[{trial.number}].train"].attempt for trial in pruned} == {1}
    assert study.best.value == whole.best.value  # what is pruned here could not have become the best
    if executor == "inline":  # one at a time
        assert [trial.state for trial in study.trials[:5]] == ["done"] * 5
        done: list[int] = []
        for trial in study.trials:
            width = trial.values["width"]
            is_hit = width in done  # computed before it would have been pruned
            is_worse = len(done) >= 5 and width > statistics.median(done) and not is_hit
            assert trial.state == ("pruned" if is_worse else "done")
            done += [] if is_worse else [width]


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid"])
def test_trials_run_side_by_side_in_workers(tmp_path: Path, sampler: str) -> None:
    """With each sampler, in processes."""
    flows = FLOWS.replace("Float(0.001, 1, log=True)", "Float(0.25, 1, step=0.25)")
    small = SmallProject(tmp_path, {"flows.py": flows}, executor="processes")
    run = small.run("tuned", trials=15, sampler=sampler)
    assert run.status == "succeeded", run.state.message
    assert len(study_in(run).trials) == 15


def test_a_killed_study_goes_on(tmp_path: Path) -> None:
    """kill -9 of the driver: what was finished is a hit, the rest is as if nothing had happened."""
    whole = SmallProject(tmp_path / "whole", {"flows.py": FLOWS}, executor="processes")
    expected = study_in(whole.run("waiting"))
    small = SmallProject(tmp_path / "killed", {"flows.py": FLOWS}, executor="processes")
    os.mkfifo(small.root / "gate")
    with started("run", "waiting", cwd=small.root) as process:
        assert process.stdout is not None
        while "waiting" not in process.stdout.readline():
            continue
        notes = find_notes(small.root / ".filiera" / "studies", "waiting-1", "tune")
        assert [trial.state for trial in study_of(notes).trials] == ["done"] * 7 + ["running"]
        os.kill(process.pid, signal.SIGKILL)
    (small.root / "gate").unlink()
    resumed = filiera("resume", "waiting-1", "--json", cwd=small.root)
    assert resumed.code == 0, resumed.err
    states: dict[str, Any] = {step["step"]: step["state"] for step in _steps(small, "waiting-1")}
    assert [states[f"tune[{n}].waits"] for n in range(7)] == ["succeeded"] * 7  # as they were recorded before the kill
    assert [states[f"tune[{n}].waits"] for n in (7, 8, 9)] == ["succeeded"] * 3
    assert (small.root / "count").read_text() == "11"  # ten trials, and the one that was killed
    with small.opened() as project:
        study = project.value(_study_ref(project))
    assert study.trials == expected.trials


def _steps(small: SmallProject, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(filiera("show", run_id, "--json", cwd=small.root).out)["steps"]
    return found


def _study_ref(project: Any) -> Any:
    from filiera.engine.rows import read_refs

    row = project.records.read("get_step_run", {"run_id": "waiting-1", "step": "tune"})[0]
    return read_refs(row["outputs"], project.versions.inline)[1]
