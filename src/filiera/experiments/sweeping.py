"""Runs of one experiment with different parameters: which ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import make_dataclass
from typing import Annotated, Any

from filiera.core.parameters import parse
from filiera.core.pipeline import Pipeline
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.experiments.running import values_of
from filiera.model.space import Choice, Float, Int, Space

MOST_RUNS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """Which parameters take which values; the others keep theirs in all runs."""

    grid: Mapping[str, str]  #: parameter → values, such as "4,8,12"
    space: Mapping[str, str]  #: parameter → range, such as "2..20" or "0.001..0.1:log"
    fixed: Mapping[str, str]  #: parameter → the value it has in all runs
    trials: int = 0  #: so many draws; 0: all combinations
    seed: int = 0


def settings_of(sweep: Sweep, pipeline: Pipeline) -> list[dict[str, str]]:
    """Return the parameters of each run as texts: all combinations, or draws, none of them twice.

    The same seed gives the same draws, those that ``filiera.model.tune`` makes of the same ranges at random.

    Raises:
        UsageError: Nothing varies, something varies twice, a parameter is unknown or takes no such value, or there is
            no end of combinations.
    """
    names = [*sweep.grid, *sweep.space]
    if not names:
        raise UsageError("What shall vary?", do="--grid max_depth=4,8,12, or --space max_depth=2..20 --trials 20")
    for name in names:
        if name in sweep.fixed or names.count(name) > 1:
            raise UsageError(f"Parameter {name!r} is given twice.", do="Say once which values it takes.")
    _require_values(sweep, pipeline)
    fields: list[tuple[str, Any]] = [
        (name, Annotated[str, Choice(*dict.fromkeys(text.split(",")))]) for name, text in sweep.grid.items()
    ]
    fields += [(name, _range_of(pipeline, name, text)) for name, text in sweep.space.items()]
    space = Space(make_dataclass("Sweep", fields))
    _require_few(sweep, space)
    if sweep.trials:
        found = [space.draw(f"{sweep.seed}/{number}") for number in range(sweep.trials)]
    else:
        found = list(space.grid())
    settings = {tuple(map(str, each.values())): each for each in found}
    return [{**sweep.fixed, **{name: str(value) for name, value in each.items()}} for each in settings.values()]


def _require_values(sweep: Sweep, pipeline: Pipeline) -> None:
    values_of(pipeline, sweep.fixed)
    for name, text in sweep.grid.items():
        for value in text.split(","):
            values_of(pipeline, {name: value})
    for name, text in sweep.space.items():
        values_of(pipeline, {name: text.partition("..")[0]})


def _range_of(pipeline: Pipeline, name: str, text: str) -> Any:
    parameter = next(each for each in pipeline.parameters if each.name == name)
    ends, _, scale = text.partition(":")
    first, dots, last = ends.partition("..")
    try:
        low, high = parse(first, parameter), parse(last, parameter)
        if not dots or scale not in ("", "log") or not all(isinstance(end, int | float) for end in (low, high)):
            raise ValueError(text)
        if isinstance(low, int) and isinstance(high, int):
            return Annotated[int, Int(low, high, log=scale == "log")]
        return Annotated[float, Float(low, high, log=scale == "log")]
    except ValueError as error:
        raise UsageError(
            f"--space {name}={text} is no range of numbers that {name} takes.",
            do=f"Write --space {name}=2..20, or {name}=0.001..0.1:log where each size shall be as likely.",
        ) from error


def _require_few(sweep: Sweep, space: Space) -> None:
    wide = [name for name, each in space.ranges.items() if isinstance(each, Float)]
    if wide and not sweep.trials:
        raise UsageError(
            f"There is no end of values between the ends of {', '.join(wide)}.",
            do="Say how many to draw, such as --trials 20.",
        )
    count = sweep.trials or space.grid_size()
    if count > MOST_RUNS:
        raise UsageError(
            f"These are {count:,} runs.", why=f"A sweep has {MOST_RUNS:,} at most.", do="Draw some: --trials 100"
        )
