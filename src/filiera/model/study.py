"""A study: many trials of one objective with different parameters, as the fold of its notes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from filiera.core import plain
from filiera.core.value import dataclass
from filiera.errors import UsageError, did_you_mean

Goal = Literal["maximize", "minimize"]
Sampler = Literal["tpe", "random", "grid"]
TrialState = Literal["running", "done", "pruned", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """How to search: how long, how, and for what.

    >>> Search(trials=50, seed=1).sampler
    'tpe'
    """

    trials: int  #: how many, at most
    goal: Goal = "maximize"
    metric: str = ""  #: what is to be best: the last value logged under this name; "": what the objective returns
    sampler: Sampler = "tpe"  #: tpe learns from the trials before, with Optuna; grid takes all combinations
    seed: int = 0
    parallel: int = 0  #: so many trials at once at most; 0: as many as steps can run at once
    patience: int = 0  #: stop after so many trials in a row without a better one; 0: never
    time_limit_s: float | None = None  #: begin no more trials after this many seconds
    prune: bool = False  #: end trials whose *metric* is worse than the median of the others' at the same step

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("parallel", 0), ("patience", 0), ("seed", 0)):
            if type(getattr(self, name)) is not int or getattr(self, name) < least:
                raise UsageError(f"{name} is a whole number from {least} on, not {getattr(self, name)!r}.")
        for name, known in (("goal", ("maximize", "minimize")), ("sampler", ("tpe", "random", "grid"))):
            value = getattr(self, name)
            if value not in known:
                why = f"It is one of {', '.join(known)}.{did_you_mean(str(value), known)}"
                raise UsageError(f"There is no {name} {value!r}.", why=why)
        if self.time_limit_s is not None and not self.time_limit_s > 0:
            raise UsageError(f"time_limit_s is above 0, not {self.time_limit_s!r}.")
        if self.prune and not self.metric:
            do = "Log it with log_metric(NAME, value, step), and say metric=NAME."
            raise UsageError("Pruning needs a metric.", do=do)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """The objective with one choice of parameters."""

    number: int
    values: Mapping[str, Any]  #: of the fields that are searched
    state: TrialState = "running"
    value: float | None = None  #: of the objective; None unless it is done
    note: str = ""  #: why it failed, or where it was pruned


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """All trials of a search.

    >>> trials = (Trial(number=0, values={"x": 1}, state="done", value=0.5), Trial(number=1, values={"x": 2}))
    >>> Study(objective="f", space="S", search=Search(trials=2), trials=trials).best.number
    0
    """

    objective: str  #: name of the function
    space: str  #: name of the dataclass
    search: Search
    trials: tuple[Trial, ...]  #: in order of their numbers
    stopped: str = ""  #: why it ended before all trials were made

    @property
    def done(self) -> list[Trial]:
        """Return the trials that have a value."""
        return [trial for trial in self.trials if trial.state == "done"]

    @property
    def best(self) -> Trial:
        """Return the best trial, the first of equal ones. Raises UsageError when none is done."""
        found = best_of(self.done, self.search.goal)
        if found is None:
            first = next((trial for trial in self.trials if trial.state == "failed"), None)
            why = f"{counted(self.trials)}." + (f" Trial {first.number}: {first.note}" if first else "")
            raise UsageError(f"No trial of {self.objective} has a value.", why=why)
        return found

    def so_far(self) -> list[float]:
        """Return for each trial that is done, in order, the best value until then."""
        found: list[float] = []
        for trial in self.done:
            assert trial.value is not None
            before = found[-1] if found else trial.value
            found.append(trial.value if is_better(trial.value, before, self.search.goal) else before)
        return found


def is_better(value: float, other: float, goal: Goal) -> bool:
    """Tell whether a value is better than another one; NaN is worse than all."""
    if math.isnan(value) or math.isnan(other):
        return math.isnan(other) and not math.isnan(value)
    return value > other if goal == "maximize" else value < other


def best_of(trials: list[Trial], goal: Goal) -> Trial | None:
    """Return the best of trials that are done, the first of equal ones."""
    best: Trial | None = None
    for trial in trials:
        if best is None or is_better(trial.value or 0.0, best.value or 0.0, goal):
            best = trial
    return best


def counted(trials: tuple[Trial, ...]) -> str:
    """Return how many trials are in each state, in words.

    >>> counted((Trial(number=0, values={}, state="done"), Trial(number=1, values={}, state="failed")))
    '1 done, 1 failed'
    """
    states = [trial.state for trial in trials]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "no trials"


Note = list[Any]
"""``["study", run, step, objective, space, search]``, ``["ask", number, values]``,
``["tell", number, state, value, note, points]`` or ``["stop", why]``."""


class Notes:
    """What happened in a study, in order; kept in a file where there is one, so that a killed study goes on.

    A line of JSON per note is handed to the system at once. One that was cut off is dropped, and all behind it.
    """

    def __init__(self, file: Path | None = None, *, is_fresh: bool = False) -> None:
        self.earlier: list[Note] = []  #: those that were there
        self._fd: int | None = None
        if file is None:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        if not _locked(fd):
            os.close(fd)  # another driver makes the same study: this one keeps its notes to itself
            return
        self._fd = fd
        content = b"" if is_fresh else os.pread(fd, os.fstat(fd).st_size, 0)
        self.earlier, size = read_notes(content)
        os.ftruncate(fd, size)

    def add(self, note: Note) -> None:
        """Keep a note. Raises OSError."""
        if self._fd is not None:
            os.write(self._fd, plain.encode(note) + b"\n")

    def clear(self) -> None:
        """Forget all notes."""
        self.earlier = []
        if self._fd is not None:
            os.ftruncate(self._fd, 0)

    def close(self) -> None:
        """Let go of the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def read_notes(content: bytes) -> tuple[list[Note], int]:
    """Return the notes of a file up to the first damaged one, and how many bytes they take."""
    notes: list[Note] = []
    size = 0
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            note = plain.decode(line)
        except ValueError:
            break
        notes.append(note)
        size += len(line)
    return notes, size


def study_of(notes: list[Note]) -> Study:
    """Return the study that notes tell of. Raises ValueError when they do not begin with what it is."""
    if not notes or notes[0][0] != "study":
        raise ValueError("notes of a study begin with what it is")
    trials: dict[int, Trial] = {}
    stopped = ""
    head = notes[0]
    for note in notes:
        kind, *rest = note
        if kind == "study":
            head, stopped = note, ""
        elif kind == "ask":
            trials[rest[0]] = Trial(number=rest[0], values=rest[1])
        elif kind == "tell":
            number, state, value, text, _ = rest
            values = trials[number].values
            trials[number] = Trial(number=number, values=values, state=state, value=value, note=text)
        elif kind == "stop":
            stopped = rest[0]
    _, _, _, objective, space, search = head
    ordered = tuple(trials[number] for number in sorted(trials))
    return Study(objective=objective, space=space, search=search, trials=ordered, stopped=stopped)


def find_notes(folder: Path, run_id: str, step: str) -> list[Note]:
    """Return the notes of a step's study in a run, from the folder of all notes; none when it has none."""
    with suppress(FileNotFoundError):
        for file in sorted(folder.iterdir()):
            notes, _ = read_notes(file.read_bytes())
            if any(note[:3] == ["study", run_id, step] for note in notes):
                return notes
    return []


def _locked(fd: int) -> bool:
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
