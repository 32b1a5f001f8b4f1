"""What is usual at each step of a curve: the median of the trials that are done, below which others are pruned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

FEWEST = 5
"""No trial is pruned before so many have come to the same step: until then nobody knows what is usual."""


class Usual:
    """The medians of trials, kept in a file that running trials read.

    Source:
        The median stopping rule of Golovin et al. (2017), Google Vizier, as Optuna has it: the best value so far is
        compared with the median of the values of the other trials at the same step.
    """

    def __init__(self, file: Path, notes: Sequence[Sequence[Any]]) -> None:
        """Begin with the trials that *notes* tell of, and write the file. Raises OSError."""
        self.file = file
        self._values: dict[int, list[float]] = {}
        for kind, *rest in notes:
            if kind == "tell":
                self._take(rest[4])
        self._write()

    def add(self, points: Sequence[Sequence[Any]]) -> None:
        """Take the curve of a trial that is done: steps and values. Raises OSError."""
        self._take(points)
        self._write()

    def _take(self, points: Sequence[Sequence[Any]]) -> None:
        for step, value in points:
            if value == value:
                self._values.setdefault(step, []).append(value)

    def _write(self) -> None:
        usual = {step: median(values) for step, values in self._values.items() if len(values) >= FEWEST}
        partial = self.file.with_suffix(".part")
        partial.write_text(json.dumps({step: repr(value) for step, value in usual.items()}), encoding="utf-8")
        partial.replace(self.file)
