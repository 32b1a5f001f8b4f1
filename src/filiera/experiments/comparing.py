"""Experiments side by side: what differs in parameters, code and data, how good they are, and what that tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from filiera.adapters.git_repository import FileChange
from filiera.core.gate import Improvement
from filiera.core.metric import Metric, Metrics
from filiera.core.value import dataclass
from filiera.errors import Rejected, UsageError, did_you_mean
from filiera.experiments.names import RECORDS
from filiera.experiments.place import Place
from filiera.experiments.ranking import deciding_metric
from filiera.experiments.records import RunRecord
from filiera.experiments.running import is_added
from filiera.experiments.sides import Side, evaluation_of, sides_of, steps_behind
from filiera.project.cards import plainly
from filiera.project.comparing import beside, gained
from filiera.project.origin import ADDED
from filiera.project.project import Project


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeChange:
    """How the code of one side differs from that of the first."""

    steps: Mapping[str, tuple[str, ...]]  #: step → in words what differs in the code it reaches
    files: tuple[FileChange, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What one metric tells of which side is the best."""

    metric: str
    among: tuple[str, ...]  #: all sides; or those that passed their gates, where the best of all did not
    best: str  #: the side with the best value
    over: Mapping[str, Improvement]  #: by other side: how much better, on the same rows
    unknown: Mapping[str, str]  #: by other side: why that cannot be said

    @property
    def is_clear(self) -> bool:
        """Tell whether the best one is better than each other one by the whole interval of their difference."""
        return not self.unknown and all(one.low > 0 for one in self.over.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What two or more sides have of their own; the first is what the others are compared with.

    Each table has a row per name, with a text per side, ``–`` where it has no such thing.
    """

    sides: tuple[Side, ...]
    warnings: tuple[str, ...]  #: in which way their data differ; they are compared all the same
    facts: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, tuple[str, ...]]  #: by "step.parameter", where they differ
    gates: Mapping[str, tuple[str, ...]]  #: what each said of each side, where that differs
    code: Mapping[str, CodeChange]  #: by side, against the first
    metrics: tuple[Metrics, ...]  #: of each side, those that were asked for
    improvements: Mapping[str, Mapping[str, Improvement]]  #: by side and metric, over the first, on the same rows
    not_paired: Mapping[str, str]  #: by side: why there are none
    verdicts: tuple[Verdict, ...]  #: for each metric that was asked for, or else the one that decides

    @property
    def names(self) -> tuple[str, ...]:
        """Return what the sides are called."""
        return tuple(side.name for side in self.sides)

    @property
    def data(self) -> dict[str, Any]:
        """Return it as plain data."""
        measured = [{one.name: asdict(one) for one in metrics} for metrics in self.metrics]
        return {
            "experiments": list(self.names),
            "warnings": list(self.warnings),
            **{name: dict(getattr(self, name)) for name in ("facts", "parameters", "gates")},
            "code": {name: asdict(each) for name, each in self.code.items()},
            "metrics": dict(zip(self.names, measured, strict=True)),
            "improvements": {name: _plain(found) for name, found in self.improvements.items()},
            "not_paired": dict(self.not_paired),
            "verdicts": [
                {
                    "metric": each.metric,
                    "among": list(each.among),
                    "best": each.best,
                    "is_clear": each.is_clear,
                    "over": _plain(each.over),
                    "unknown": dict(each.unknown),
                }
                for each in self.verdicts
            ],
        }


def compare(
    place: Place, names: Sequence[str], *, metrics: Sequence[str] = (), allow_different_data: bool = False
) -> Comparison:
    """Return what experiments have in common, and what not.

    Args:
        place: Where.
        names: Experiments, runs of them as ``NAME/RUN``, or ``main``: the champion of their target, else its newest
            version. The first is what the others are compared with.
        metrics: Names of those to look at; all, where none is given.
        allow_different_data: Compare also those that were not evaluated on the same rows of the same data.

    Raises:
        UsageError: There are fewer than two, one is not there or was not measured, or none has such a metric.
        Rejected: They were evaluated on other rows, or use other data.
    """
    if len(set(names)) < 2:
        raise UsageError(
            "One experiment cannot be compared.", do="Name two or more: filiera experiment compare NAME main"
        )
    sides = sides_of(place, list(dict.fromkeys(names)))
    warnings = tuple(_differences(sides))
    if warnings and not allow_different_data:
        is_same_data = len({tuple(side.run.sources) for side in sides}) == 1
        do = "filiera experiment sync brings one up to date"
        if is_same_data:
            do = "If only their features differ, know rows by a key: evaluate(…, design=Design(key=…))"
        raise Rejected(
            f"{' and '.join(side.name for side in sides)} cannot be compared: their data differ.",
            why=" ".join(warnings),
            do=f"{do}; or compare them all the same: --allow-different-data",
        )
    measured = tuple(_only(side.metrics, metrics) for side in sides)
    _require_known(sides, metrics)
    improved, lost, verdicts = _paired(place.project, sides, metrics)
    return Comparison(
        sides=tuple(sides),
        warnings=warnings,
        facts=beside([dict(_facts(side.run)) for side in sides]),
        parameters=_different([{k: plainly(v) for k, v in side.run.step_parameters.items()} for side in sides]),
        gates=_different([dict(_gates(side.run)) for side in sides]),
        code={side.name: _code(place, sides[0], side) for side in sides[1:]},
        metrics=measured,
        improvements=improved,
        not_paired=lost,
        verdicts=verdicts,
    )


def _plain(found: Mapping[str, Improvement]) -> dict[str, Any]:
    return {name: asdict(one) for name, one in found.items()}


def _differences(sides: Sequence[Side]) -> Iterator[str]:
    """Yield in which way sides cannot be compared with the first: other rows evaluated, or other data used.

    An experiment may have made a dataset of its own: that counts as the same when it was made from the same sources.
    """
    first = sides[0]
    for side in sides[1:]:
        one, other = first.run, side.run
        if one.split and other.split and one.split != other.split:
            yield f"{first.name} was evaluated on {one.rows:,} rows, {side.name} on {other.rows:,} others."
        if list(one.sources) == list(other.sources):
            continue
        for name in dict.fromkeys((*one.inputs, *other.inputs)):
            here, there = (run.inputs.get(name, "nothing") for run in (one, other))
            if one.contents.get(here, here) != other.contents.get(there, there):
                yield f"{name} is {here} in {first.name} and {there} in {side.name}."


def _facts(run: RunRecord) -> Iterator[tuple[str, str]]:
    yield "run", run.run_id
    yield "pipeline", run.pipeline
    yield "state", run.status
    yield "published", run.published or "nothing"
    for name, reference in run.inputs.items():
        content = run.contents.get(reference, "")
        yield name, f"{reference} {content[:12]}".strip()
    yield "rows evaluated", f"{run.rows:,} {run.split[:12]}" if run.split else ""


def _gates(run: RunRecord) -> Iterator[tuple[str, str]]:
    for gate in run.gates:
        said = run.verdicts.get(gate)
        if said is None:
            yield gate, "not reached"
        else:
            yield gate, f"{said.state} {said.observed}".strip()


def _different(columns: Sequence[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    return {name: row for name, row in beside(columns).items() if len(set(row)) > 1}


def _only(found: Metrics, names: Sequence[str]) -> Metrics:
    return Metrics(tuple(one for one in found if not names or one.name in names), task=found.task)


def _require_known(sides: Sequence[Side], names: Sequence[str]) -> None:
    known = list(dict.fromkeys(name for side in sides for name in side.run.metrics))
    for name in names:
        if name not in known:
            why = f"There are: {', '.join(known) or 'none'}.{did_you_mean(name, known)}"
            raise UsageError(f"None of these experiments was measured by {name!r}.", why=why)


def _code(place: Place, first: Side, other: Side) -> CodeChange:
    here, there = (f":(exclude,top){place.prefix}{RECORDS}", ":(top)")
    files = place.repository.file_changes(first.files, other.files, there, here)
    before, after = dict(first.run.steps), dict(other.run.steps)
    if first.run.inputs != other.run.inputs:
        before, after = (steps_behind(place.project, side.run) for side in (first, other))
    steps = {}
    for step in dict.fromkeys((*before, *after)):
        name = step.rpartition("/")[2]
        if name in ADDED or is_added(name):  # a rejected run has never come to publishing
            continue
        old, new = before.get(step, ""), after.get(step, "")
        if old != new:
            steps[step] = tuple(_in_words(place.project, old, new))
    return CodeChange(steps=steps, files=tuple(files))


def _in_words(project: Project, old: str, new: str) -> list[str]:
    if not old or not new:
        return ["new step" if new else "step is gone"]
    parts = [project.records.read("get_closure", {"digest": digest}) for digest in (old, new)]
    if not all(parts):  # it ran in another store
        return ["other code"]
    words = project.code.compare(*(rows[0]["parts"].encode() for rows in parts))
    return sorted(words, key=lambda each: (not each.endswith(" changed"), not each.startswith("function ")))


Pairs = tuple[dict[str, dict[str, Improvement]], dict[str, str], tuple[Verdict, ...]]


def _paired(project: Project, sides: Sequence[Side], metrics: Sequence[str]) -> Pairs:
    """Return improvements over the first side, why there are none, and what the deciding metrics tell."""
    found = {side.name: evaluation_of(project, side.run) for side in sides}
    first = sides[0].name
    each = {side.name: gained(found[first], found[side.name], metrics) for side in sides[1:]}
    improved = {name: one for name, one in each.items() if not isinstance(one, str)}
    lost = {name: one for name, one in each.items() if isinstance(one, str)}

    def over(best: str, other: str, metric: str) -> Improvement | str:
        one = each[other] if best == first else gained(found[other], found[best], [metric])
        if isinstance(one, str) or metric not in one:
            return one if isinstance(one, str) else "of this metric no paired interval is known"
        return _turned(one[metric]) if best == first else one[metric]

    verdicts = []
    for metric in list(metrics) or [deciding_metric([side.run for side in sides])]:
        best = _best(sides, metric)
        passed = [side for side in sides if side.run.status != "rejected"]
        is_rejected = best not in {side.name for side in passed} and len(passed) > 1
        for group in [sides, passed] if is_rejected else [sides]:
            if best := _best(group, metric):
                told = {side.name: over(best, side.name, metric) for side in group if side.name != best}
                known = {name: one for name, one in told.items() if not isinstance(one, str)}
                unknown = {name: one for name, one in told.items() if isinstance(one, str)}
                among = tuple(side.name for side in group)
                verdicts.append(Verdict(metric=metric, among=among, best=best, over=known, unknown=unknown))
    return improved, lost, tuple(verdicts)


def _turned(one: Improvement) -> Improvement:
    """Return the same improvement, seen from the other side: no second bootstrap, which would differ a little."""
    return replace(
        one, value=0.0 - one.value, low=0.0 - one.high, high=0.0 - one.low, method=f"from the other side: {one.method}"
    )


def _best(sides: Sequence[Side], metric: str) -> str:
    """Return the side with the best defined value; "" where none has one."""
    values = {side.name: side.run.metric(metric) for side in sides}
    defined = {name: one for name, one in values.items() if one is not None and one.is_defined}
    return max(defined, key=lambda name: _signed(defined[name]), default="")


def _signed(one: Metric) -> float:
    return one.value if one.greater_is_better else -one.value
