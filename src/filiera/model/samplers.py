"""What chooses the parameters of the next trial."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Protocol

from filiera.errors import UsageError
from filiera.model.space import Choice, Float, Range, Space
from filiera.model.study import Search

LARGEST_GRID = 1_000_000


class Sampler(Protocol):
    """Chooses parameters; the same asks and tells in the same order always give the same choices."""

    @property
    def size(self) -> int | None:
        """Return how many trials there are; None when there is no end."""

    @property
    def is_adaptive(self) -> bool:
        """Tell whether it learns from the trials before."""

    def ask(self, number: int) -> Mapping[str, Any]:
        """Return the parameters of a trial; numbers count up from 0."""

    def tell(self, number: int, value: float | None) -> None:
        """Take note of a trial's value; None: it has none."""


def sampler_of(space: Space, search: Search, *, parallel: int) -> Sampler:
    """Return the sampler that a search asks for, when so many trials run at once.

    Raises:
        UsageError: A grid has no end, or Optuna is needed and not installed.
    """
    require_sampler(space, search)
    if search.sampler == "random":
        return RandomSampler(space, search.seed)
    if search.sampler == "grid":
        return GridSampler(space, search.seed)
    return TpeSampler(space, search, parallel=parallel)


def require_sampler(space: Space, search: Search) -> None:
    """Refuse, before a run begins, a search that has no sampler. Raises UsageError, as ``sampler_of`` does."""
    if search.sampler == "tpe" and find_spec("optuna") is None:
        raise _no_optuna()
    if search.sampler == "grid" and space.grid_size() > LARGEST_GRID:
        raise UsageError(
            f"The grid of {space.kind.__name__} has {space.grid_size():,} points.",
            why=f"It may have {LARGEST_GRID:,}.",
            do="Take larger steps, or another sampler.",
        )


def _no_optuna() -> UsageError:
    do = "pip install 'filiera[tune]', or take sampler='random'."
    return UsageError("The sampler 'tpe' needs Optuna, which is not installed.", do=do)


class RandomSampler:
    """Each trial's parameters follow from the seed and its number alone, whatever the others do."""

    size: int | None = None
    is_adaptive = False

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, seed

    def ask(self, number: int) -> Mapping[str, Any]:
        return self._space.draw(f"{self._seed}/{number}")

    def tell(self, number: int, value: float | None) -> None:
        """Nothing is learnt."""


class GridSampler:
    """All combinations, in a random order: who stops early has seen all corners."""

    is_adaptive = False

    def __init__(self, space: Space, seed: int) -> None:
        self.size: int | None = space.grid_size()
        self._points = list(space.grid())
        random.Random(seed).shuffle(self._points)

    def ask(self, number: int) -> Mapping[str, Any]:
        return self._points[number]

    def tell(self, number: int, value: float | None) -> None:
        """Nothing is learnt."""


class TpeSampler:
    """Optuna's tree-structured Parzen estimator: more trials where those before were good."""

    size: int | None = None
    is_adaptive = True

    def __init__(self, space: Space, search: Search, *, parallel: int) -> None:
        try:
            import optuna
        except ImportError as error:
            raise _no_optuna() from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._ranges = space.ranges
        self._distributions = {name: distribution_of(one) for name, one in space.ranges.items()}
        self._failed = optuna.trial.TrialState.FAIL
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(seed=search.seed, constant_liar=parallel > 1)
        self._study = optuna.create_study(sampler=sampler, direction=search.goal)
        self._trials: dict[int, Any] = {}

    def ask(self, number: int) -> Mapping[str, Any]:
        trial = self._trials[number] = self._study.ask(self._distributions)
        return {name: _chosen(self._ranges[name], value) for name, value in trial.params.items()}

    def tell(self, number: int, value: float | None) -> None:
        trial = self._trials.pop(number)
        if value is None or math.isnan(value):  # NaN is no value that anything could be learnt from
            self._study.tell(trial, state=self._failed)
        else:
            self._study.tell(trial, value)


def distribution_of(one: Range) -> Any:
    """Return a range as Optuna has it; a choice by the places of its values."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(one, Choice):
        return CategoricalDistribution(list(range(len(one.values))))
    if isinstance(one, Float):
        return FloatDistribution(one.low, one.high, log=one.log, step=one.step)
    high = one.high - (one.high - one.low) % one.step
    return IntDistribution(one.low, high, log=one.log, step=one.step)


def _chosen(one: Range, value: Any) -> Any:
    return one.values[value] if isinstance(one, Choice) else value
