"""A study for people: which parameters matter, and a page with its course, its trials, and parameters together."""

from __future__ import annotations

import html
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from filiera.core.charts import Line, Scale, line_chart, page, short, table
from filiera.core.report import Html
from filiera.model.samplers import distribution_of
from filiera.model.space import Choice, Float, Int, Range
from filiera.model.study import Study, Trial, counted

_WIDTH, _HEIGHT, _TOP, _BOTTOM = 900, 330, 30, 40
_LISTED = 500


def importance(study: Study) -> dict[str, float]:
    """Return how much of what makes a trial one of the best tenth each parameter is, most first; together 1.

    Nothing is returned when that cannot be told: fewer than ten trials, all alike, or without Optuna.

    Source:
        PED-ANOVA of Watanabe, Bansal and Hutter (2023), as Optuna computes it.
    """
    known = [trial for trial in study.done if trial.value is not None and math.isfinite(trial.value)]
    ranges = ranges_of(known)
    if len(known) < 10 or len({trial.value for trial in known}) < 2 or not ranges:
        return {}
    try:
        import optuna
    except ImportError:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = optuna.create_study(direction=study.search.goal)
    distributions = {name: distribution_of(one) for name, one in ranges.items()}
    for trial in known:
        parameters = {name: _written(ranges[name], trial.values[name]) for name in ranges}
        made.add_trial(optuna.trial.create_trial(params=parameters, distributions=distributions, value=trial.value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(made, evaluator=evaluator)
    shares = {name: share for name, share in found.items() if math.isfinite(share)}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def ranges_of(trials: Sequence[Trial]) -> dict[str, Range]:
    """Return for each parameter that differs between trials the range that they cover."""
    found: dict[str, Range] = {}
    for name in trials[0].values if trials else ():
        values = [trial.values[name] for trial in trials]
        if all(type(value) is int for value in values) and min(values) < max(values):
            found[name] = Int(min(values), max(values))
        elif all(type(value) in (int, float) for value in values) and min(values) < max(values):
            is_wide = min(values) > 0 and max(values) / min(values) > 100
            found[name] = Float(min(values), max(values), log=is_wide)
        elif len(distinct := list({repr(value): value for value in values}.values())) > 1:
            found[name] = Choice(*distinct)
    return found


def study_page(study: Study, *, title: str) -> Html:
    """Return *study* as a page."""
    return page(title, _sections(study))


def _sections(study: Study) -> Iterator[str]:
    about = (
        f"{study.search.goal} {study.search.metric or 'what ' + study.objective + ' returns'}: {counted(study.trials)}"
    )
    yield f"<p>{html.escape(about)}{'; ' + html.escape(study.stopped) if study.stopped else ''}</p>"
    if not study.done:
        return
    best = study.best
    yield f"<h2>Best: trial {best.number}, {short(best.value or 0.0)}</h2>"
    yield table(["parameter", "value"], [(name, shown(value)) for name, value in best.values.items()])
    values = [(float(trial.number), trial.value or 0.0) for trial in study.done]
    course = [(float(trial.number), value) for trial, value in zip(study.done, study.so_far(), strict=True)]
    yield "<h2>Course</h2>"
    yield line_chart(
        [Line("trial", values, is_dots=True), Line("best so far", course)], label="Course", x_label="trial"
    )
    shares = importance(study)
    if shares:
        yield "<h2>Importance</h2>" + table(["parameter", "share"], [(n, f"{s:.0%}") for n, s in shares.items()])
    yield "<h2>Parameters together</h2><p>One line per trial; the better, the stronger.</p>"
    yield parallel_coordinates(study)
    yield "<h2>Trials</h2>" + trials_table(study)


def trials_table(study: Study) -> str:
    """Return the trials as an HTML table, the best first."""
    ordered = in_order(study)
    names = list(study.trials[0].values)
    rows = [[t.number, t.state, value_of(t), *map(shown, t.values.values()), t.note] for t in ordered[:_LISTED]]
    return table(["trial", "state", "value", *names, "note"], rows, right=("trial", "value"))


def in_order(study: Study) -> list[Trial]:
    """Return the trials, the best first; those without a value last."""
    sign = -1 if study.search.goal == "maximize" else 1

    def place(trial: Trial) -> tuple[bool, float, int]:
        is_number = trial.value is not None and not math.isnan(trial.value)
        return not is_number, sign * (trial.value or 0.0) if is_number else 0.0, trial.number

    return sorted(study.trials, key=place)


def value_of(trial: Trial) -> str:
    """Return a trial's value for people; "" when it has none."""
    return "" if trial.value is None else short(trial.value)


def shown(value: Any) -> str:
    """Return a parameter for people."""
    return short(value) if isinstance(value, float) else str(value)


def parallel_coordinates(study: Study) -> str:
    """Return one line per trial over an axis per parameter and one for the value, as SVG."""
    known = [trial for trial in study.done if trial.value is not None and math.isfinite(trial.value)]
    ranges = ranges_of(known)
    if len(known) < 2 or not ranges:
        return "<p>There are too few different trials to draw.</p>"
    ordered = [trial for trial in in_order(study) if trial in known][::-1][-_LISTED:]
    names = [*ranges, study.search.metric or "value"]
    gap = (_WIDTH - 120) / (len(names) - 1)
    axes = {name: _Axis(one, 60 + place * gap) for place, (name, one) in enumerate(ranges.items())}
    values = [trial.value or 0.0 for trial in known]
    last = _Axis(Float(min(values), max(values)), 60 + (len(names) - 1) * gap)
    drawn = []
    for rank, trial in enumerate(ordered):
        places = [axes[name].place(trial.values[name]) for name in ranges]
        places.append(last.place(trial.value))
        strength = 0.06 + 0.84 * ((rank + 1) / len(ordered)) ** 6
        hint = ", ".join(f"{name} {shown(trial.values[name])}" for name in ranges)
        text = html.escape(f"trial {trial.number}: {value_of(trial)} ({hint})")
        path = "M" + "L".join(places)
        colour = 1 if rank == len(ordered) - 1 else 0
        drawn.append(f'<path class="line c{colour}" opacity="{strength:.2f}" d="{path}"><title>{text}</title></path>')
    drawn += [axis.drawn(name) for name, axis in zip(names, [*axes.values(), last], strict=True)]
    label = f'role="img" aria-label="Parallel coordinates of {len(ordered)} trials"'
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" {label}>{"".join(drawn)}</svg>'


class _Axis:
    """One axis of parallel coordinates."""

    def __init__(self, one: Range, x: float) -> None:
        self._one, self._x = one, x
        self._choices = {repr(value): n for n, value in enumerate(one.values)} if isinstance(one, Choice) else {}
        self._is_log = not isinstance(one, Choice) and one.log
        ends = [0.0, float(len(self._choices) - 1)] if isinstance(one, Choice) else [float(one.low), float(one.high)]
        self._scale = Scale.of([self._scaled(end) for end in ends], _HEIGHT - _BOTTOM, _TOP)

    def place(self, value: Any) -> str:
        """Return where a value lies."""
        number = float(self._choices[repr(value)]) if self._choices else self._scaled(float(value))
        return f"{self._x:.1f},{self._scale(number):.1f}"

    def drawn(self, name: str) -> str:
        """Return the axis with its name and ends."""
        parts = [f'<line class="grid" x1="{self._x:.1f}" x2="{self._x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>']
        parts.append(self._text(_HEIGHT - 12, name))
        if isinstance(self._one, Choice):
            for text, number in self._choices.items():
                parts.append(self._text(self._scale(float(number)) - 4, text.strip("'")))
        else:
            parts += [
                self._text(_HEIGHT - _BOTTOM + 14, short(self._one.low)),
                self._text(_TOP - 6, short(self._one.high)),
            ]
        return "".join(parts)

    def _scaled(self, number: float) -> float:
        return math.log(number) if self._is_log else number

    def _text(self, y: float, text: str) -> str:
        cut = text if len(text) <= 18 else text[:17] + "…"
        return f'<text x="{self._x:.1f}" y="{y:.1f}" text-anchor="middle">{html.escape(cut)}</text>'


def _written(one: Range, value: Any) -> Any:
    """Return a parameter as Optuna has it: a choice is the place of its value."""
    if not isinstance(one, Choice):
        return value
    return next(place for place, known in enumerate(one.values) if repr(known) == repr(value))


def study_data(study: Study, shares: Mapping[str, float]) -> dict[str, Any]:
    """Return a study as JSON data."""
    return {
        "objective": study.objective,
        "goal": study.search.goal,
        "metric": study.search.metric,
        "sampler": study.search.sampler,
        "seed": study.search.seed,
        "stopped": study.stopped,
        "best": study.best.number if study.done else None,
        "importance": dict(shares),
        "trials": [
            {"number": t.number, "state": t.state, "value": t.value, "parameters": dict(t.values), "note": t.note}
            for t in study.trials
        ],
    }
