"""Ends a step whose metric is worse than those of others were at the same place: called where the metric is logged."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path

from filiera.core.growing import Watched
from filiera.errors import TrialPruned


class Watch:
    """Compares what one attempt logs with what was usual; what is usual is read when it begins to log."""

    def __init__(self, watched: Watched) -> None:
        self.metric = watched.metric
        self._watched = watched
        self._usual: dict[int, float] | None = None
        self._best = math.nan

    def see(self, step: int, value: float) -> None:
        """Take note of a value. Raises TrialPruned when the best so far is worse than what was usual at this step."""
        if self._usual is None:
            self._usual = read_usual(Path(self._watched.file))
        is_better = value > self._best if self._watched.is_more_better else value < self._best
        if is_better or math.isnan(self._best):
            self._best = value
        usual = self._usual.get(step)
        if usual is None or math.isnan(usual):
            return
        is_worse = self._best < usual if self._watched.is_more_better else self._best > usual
        if is_worse or math.isnan(self._best):
            raise TrialPruned(
                f"At step {step} {self.metric} was {self._best:.6g} at best, and half of the trials had {usual:.6g}."
            )


def read_usual(file: Path) -> dict[int, float]:
    """Return what was usual by step; nothing when nobody has said so yet, or not in full."""
    with suppress(OSError, ValueError):
        return {int(step): float(value) for step, value in json.loads(file.read_bytes()).items()}
    return {}
