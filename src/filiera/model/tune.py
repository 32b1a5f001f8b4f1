"""``tune``: find the best parameters of an objective by many trials, each of them steps of the run.

@dataclass(frozen=True)
class Forest:
    trees: int = 100
    depth: Annotated[int, Int(2, 32)] = 16
    criterion: Annotated[str, Choice("gini", "entropy")] = "gini"

best, study = tune(score, Forest, Search(trials=50, seed=seed), rows=train_rows)
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any, TypeVar, Unpack

from filiera.core import plain
from filiera.core.digest import digest
from filiera.core.graph import Future
from filiera.core.growing import GROWER, Ground, Outcome, Watched
from filiera.core.logged import Curves, begin, end
from filiera.core.options import Cache, Options, StepOptions
from filiera.core.step import Step, active_tracer, step
from filiera.core.trace import GraphTracer, current_tracer
from filiera.errors import CodecError, GraphError, StepFailed, StoreError, UsageError
from filiera.model.samplers import Sampler, require_sampler, sampler_of
from filiera.model.space import Choice, Float, Int, Space
from filiera.model.study import Notes, Search, Study, Trial, is_better, study_of
from filiera.model.usual import Usual

__all__ = ["Choice", "Float", "Int", "Search", "Study", "Trial", "tune"]

T = TypeVar("T")
_AHEAD = 64
"""So many trials at most are begun ahead of those that run, where they do not depend on each other."""
_PRUNED = "filiera.errors:TrialPruned"


def tune(objective: Callable[..., Any], space: type[T], search: Search, /, **given: Any) -> tuple[T, Study]:
    """Return the best parameters found, and the study: all trials that were made.

    In a pipeline, each trial is a call of the steps of the objective, with its own place in the cache; a trial that
    fails does not fail the study, and a study that was killed goes on with the trials it had. Elsewhere the objective
    is simply called, one trial after another.

    Args:
        objective: A step, or a function that calls steps, at the top level of a module. Its first parameter takes the
            parameters, a *space*. It returns a number, or anything when *search* names a metric.
        space: A dataclass whose annotations say where to search; see ``filiera.model.space``.
        search: How many trials, how they are chosen, and what is to be best.
        given: Further arguments of the objective, the same in each trial: outputs of steps, or plain values.

    Raises:
        UsageError: The space is none, or outside of a pipeline no trial has a value.
        GraphError: The objective calls no step, or cannot be called with these arguments.

    >>> from dataclasses import make_dataclass
    >>> from typing import Annotated
    >>> Line = make_dataclass("Line", [("x", Annotated[float, Float(-1, 1)])])
    >>> best, study = tune(lambda line: -abs(line.x), Line, Search(trials=50, sampler="random"))
    >>> abs(best.x) < 0.1, len(study.trials)
    (True, 50)
    """
    searched = Space(space)
    if current_tracer() is None:
        found: tuple[T, Study] = _tuned_here(objective, searched, search, given)
        return found
    require_sampler(searched, search)
    function = getattr(objective, "function", objective)
    _try_out(objective, searched, given)
    best, study = TuneStep(space)(objective=function, space=space, given=given, **_written(search))
    return best, study


class TuneStep(Step[..., Any]):
    """A step that becomes trials, one after another."""

    def __init__(self, space: type, options: StepOptions | None = None) -> None:
        usual = step(_study, name="tune", stage="tune", cache=Cache(ignore=("parallel",))).options
        super().__init__(_study, options or usual)
        self._space = space

    def with_options(self, **changes: Unpack[Options]) -> TuneStep:
        """Return this step with other options; see ``Step.with_options``."""
        return TuneStep(self._space, super().with_options(**changes).options)

    @functools.cached_property
    def outputs(self) -> tuple[Any, ...]:
        """Return the type of the parameters, and that of the study."""
        return (self._space, Study)


def _study(objective: Any, space: Any, given: Any, **search: Any) -> Any:
    """Stand for a study in a graph; trials run in its place."""
    raise StepFailed("A study is made by the driver of a run.")


class Hunt:
    """One study on its way: asks for trials and learns how they ended; what was noted before is gone through first."""

    def __init__(self, space: Space, search: Search, sampler: Sampler, notes: Notes) -> None:
        self._space, self._search, self._sampler, self._notes = space, search, sampler, notes
        self._all: list[list[Any]] = []
        self._next = 0
        self._open: list[int] = []  #: asked for before, and not ended: they are begun again
        self._values: dict[int, Mapping[str, Any]] = {}
        self._best: float | None = None
        self._since_best = 0
        self._began_at = time.monotonic()
        self._is_stopped = False

    def begin(self, head: list[Any]) -> None:
        """Go through the notes that there are, and note that the study *head* tells of begins or goes on."""
        try:
            left_out: set[int] = set()  # of a larger study, or one that did not end early: not this one's
            for kind, *rest in self._notes.earlier:
                if kind == "ask" and (rest[0] >= self._search.trials or self._stops()):
                    left_out.add(rest[0])
                if kind in ("ask", "tell") and rest[0] not in left_out:
                    self._again(kind, rest)
        except (ValueError, KeyError, IndexError):  # of another version of the sampler, which chooses otherwise
            self._notes.clear()
            self.__init__(self._space, self._search, self._sampler, self._notes)  # type: ignore[misc]
        self._open = sorted(self._values)
        self._note(head)

    def next(self) -> tuple[int, Any] | None:
        """Return number and parameters of the next trial; None when there is none."""
        while self._open:
            number = self._open.pop(0)
            return number, self._space.make(self._values[number])
        if self._next >= min(self._search.trials, self._sampler.size or self._search.trials) or self._stops():
            return None
        number = self._next
        values = self._ask(number)
        self._note(["ask", number, dict(values)])
        return number, self._space.make(values)

    def ended(self, number: int, state: str, value: float | None, note: str, points: list[Any]) -> None:
        """Take note of how a trial ended."""
        self._note(["tell", number, state, value, note, points])
        self._tell(number, state, value)

    def study(self) -> Study:
        """Return all that has happened."""
        return study_of(self._all)

    def _again(self, kind: str, rest: list[Any]) -> None:
        if kind == "tell":
            self._tell(rest[0], rest[1], rest[2])
        elif dict(self._ask(rest[0])) != rest[1]:
            raise ValueError("the sampler chooses otherwise")
        self._all.append([kind, *rest])

    def _ask(self, number: int) -> Mapping[str, Any]:
        values = self._values[number] = self._sampler.ask(number)
        self._next = number + 1
        return values

    def _tell(self, number: int, state: str, value: float | None) -> None:
        del self._values[number]
        self._sampler.tell(number, value if state == "done" else None)
        found, goal = (value if state == "done" else None), self._search.goal
        if found is not None and (self._best is None or is_better(found, self._best, goal)):
            self._best, self._since_best = found, 0
        else:
            self._since_best += 1

    def _stops(self) -> bool:
        patience, limit_s = self._search.patience, self._search.time_limit_s
        why = ""
        if patience and self._since_best >= patience:
            why = f"{patience} trials in a row were no better"
        elif limit_s is not None and time.monotonic() - self._began_at >= limit_s:
            why = f"the time limit of {limit_s:g} s was reached"
        if why and not self._is_stopped:
            self._is_stopped = True
            self._note(["stop", why])
        return bool(why)

    def _note(self, note: list[Any]) -> None:
        if note[0] == "study":
            self._all.insert(0, note)
        else:
            self._all.append(note)
        self._notes.add(note)


class Trials:
    """Makes the trials of a study branches of a step."""

    def __init__(self, ground: Ground) -> None:
        arguments = ground.arguments
        self._objective: Any = _found(arguments["objective"])
        self._given: Mapping[str, Any] = arguments["given"]
        space = Space(arguments["space"])
        search = Search(**{name: arguments[name] for name in _written(Search(trials=1))})
        parallel = search.parallel or ground.slots
        sampler = sampler_of(space, search, parallel=parallel)
        is_free = not (sampler.is_adaptive or search.patience or search.prune or search.parallel)
        self._most = _AHEAD if is_free else parallel
        file = None if ground.folder is None else ground.folder / _identity(ground)
        self._notes = Notes(file, is_fresh=ground.is_fresh)
        self._search: Search = search
        self._space = space
        self.watched: Watched | None = None
        if search.prune and file is not None:
            self._usual = Usual(file.with_name(f"{file.name}.usual"), self._notes.earlier)
            self.watched = Watched(search.metric, search.goal == "maximize", str(self._usual.file))
        self._hunt = Hunt(space, search, sampler, self._notes)
        name = getattr(arguments["objective"], "__qualname__", "objective")
        self._hunt.begin(["study", *ground.place, name, space.kind.__qualname__, search])

    def next(self, running: int) -> tuple[int, Callable[[], Any]] | None:
        """Return the next trial; None when as many run as may."""
        found = self._hunt.next() if running < self._most else None
        if found is None:
            return None
        number, parameters = found
        return number, functools.partial(self._objective, parameters, **self._given)

    def ended(self, number: int, outcome: Outcome) -> None:
        """Take note of a trial's value, or of why it has none."""
        failure = outcome.failure
        if failure is not None:
            state = "pruned" if _PRUNED in failure.bases else "failed"
            said = failure.message.partition("\n")[0]
            note = said if state == "pruned" else f"{failure.error}: {said}"
            self._hunt.ended(number, state, None, note, [])
            return
        try:
            value = self._value(outcome)
        except (UsageError, ValueError, TypeError) as error:
            self._hunt.ended(number, "failed", None, str(error).partition("\n")[0], [])
        else:
            points = self._points(outcome) if self.watched is not None else []
            self._hunt.ended(number, "done", value, "", points)
            if self.watched is not None:
                self._usual.add(points)

    def _points(self, outcome: Outcome) -> list[Any]:
        """Return the steps and values of the metric that is watched."""
        for logged in reversed(outcome.logged):
            if outcome.load is None or self._search.metric not in [one.name for one in logged.summaries]:
                continue
            with suppress(StoreError, CodecError):  # of a trial from the cache: the others have to do
                curves: Curves = outcome.load(logged.curves)
                curve = next(one for one in curves if one.name == self._search.metric)
                return [[point.step, point.value] for point in curve.points()]
        return []

    def results(self) -> tuple[Any, ...]:
        """Return the best parameters, and the study. Raises UsageError when no trial has a value."""
        study = self._hunt.study()
        return self._space.make(study.best.values), study

    def close(self) -> None:
        """Let go of the notes, so that another driver can go on."""
        self._notes.close()

    def _value(self, outcome: Outcome) -> float:
        if not self._search.metric:
            return number_of(outcome.value())
        for logged in reversed(outcome.logged):
            for summary in logged.summaries:
                if summary.name == self._search.metric:
                    return summary.last
        logs = [summary.name for logged in outcome.logged for summary in logged.summaries]
        why = f"It logged: {', '.join(dict.fromkeys(logs)) or 'nothing'}."
        raise UsageError(f"The trial logged no metric {self._search.metric!r}. {why}")


def number_of(value: Any) -> float:
    """Return what an objective returned as a number. Raises TypeError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise TypeError(f"the objective returned a {type(value).__name__} and no number; name a metric, or return one")


_MAY_DIFFER = ("trials", "patience", "time_limit_s", "parallel")


def _identity(ground: Ground) -> str:
    """Return what studies have in common that go on with each other's trials: all but when they end."""
    arguments = {name: text for name, text in ground.parts.arguments.items() if name not in _MAY_DIFFER}
    inputs = [identity for _, identity in ground.parts.inputs]
    return digest("study/1", plain.encode([ground.parts.closure, arguments, inputs]))


def _written(search: Search) -> dict[str, Any]:
    """Return the fields of a search, as arguments of their own: then it is told which of them has changed."""
    return {item.name: getattr(search, item.name) for item in fields(Search)}


def _found(function: Any) -> Any:
    """Return the step that a function is at the top of its module, or the function itself."""
    import sys

    there: Any = sys.modules.get(function.__module__)
    for part in function.__qualname__.split("."):
        there = getattr(there, part, None)
    return there if isinstance(there, Step) and there.function is function else function


def _try_out(objective: Callable[..., Any], space: Space, given: Mapping[str, Any]) -> None:
    """See to it that the objective can be called, before a run begins. Raises GraphError."""
    tracer = current_tracer()
    assert tracer is not None
    trial = GraphTracer(tracer.kind, keep=lambda value: Future())
    token = active_tracer.set(trial)
    try:
        objective(space.make(space.draw("0")), **given)
    except TypeError as error:
        raise GraphError(f"The objective of tune cannot be called: {error}.", do=_CALLED) from error
    finally:
        active_tracer.reset(token)
    if not trial.nodes:
        raise GraphError("The objective of tune calls no step.", do="Decorate it with @step, or call steps in it.")


_CALLED = "tune(objective, Space, search, rows=rows) calls objective(parameters, rows=rows)."


class _Last:
    """Keeps the last value of each metric that is logged."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def add(self, name: str, value: float, step: int | None) -> None:
        self.values[name] = value


def _tuned_here(objective: Callable[..., Any], space: Space, search: Search, given: Mapping[str, Any]) -> Any:
    hunt = Hunt(space, search, sampler_of(space, search, parallel=1), Notes())
    name = getattr(objective, "__qualname__", "objective")
    hunt.begin(["study", "", "", name, space.kind.__qualname__, search])
    while (found := hunt.next()) is not None:
        number, parameters = found
        log = _Last()
        token = begin(log)
        try:
            returned = objective(parameters, **given)
            value = log.values[search.metric] if search.metric else number_of(returned)
        except Exception as error:  # noqa: BLE001  a trial that fails does not fail the study
            hunt.ended(number, "failed", None, f"{type(error).__name__}: {error}".partition("\n")[0], [])
        else:
            hunt.ended(number, "done", value, "", [])
        finally:
            end(token)
    study = hunt.study()
    return space.make(study.best.values), study


def _step_of(arguments: Mapping[str, Any]) -> TuneStep:
    return TuneStep(arguments["space"])


setattr(_study, GROWER, Trials)
_study.__filiera_step__ = _step_of  # type: ignore[attr-defined]
