"""The parts of a serving graph at work: each takes a batch and gives one array per output."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from filiera.core.graphs import Condition, place_of
from filiera.core.signature import Field, Output
from filiera.serving.batch import Batch, Outputs
from filiera.serving.course import Course, NodeDown, NodeLate, Together, at_rows, course, in_background, within
from filiera.serving.graph_fields import Picker, picker, rows_at
from filiera.serving.predictor import PredictionFailed
from filiera.serving.threads import Threads
from filiera.serving.waiting import Busy

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

_HOLDS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "in": lambda value, values: value in values,
}  # fmt: skip

_MAX_BEHIND = 64
"""So many batches may wait for a shadow."""


class Part(Protocol):
    """One node, put together with its versions."""

    name: str  #: for people
    inputs: tuple[Field, ...]
    outputs: tuple[Output, ...]
    examples: tuple[Mapping[str, Any], ...]
    is_brief: bool  #: does nothing but compute, here

    def predict(self, batch: Batch) -> Outputs:
        """Return one array per output for a *batch* with the columns of ``inputs``. Raises PredictionFailed."""


class ModelPart:
    """A model version, in this process or another."""

    def __init__(self, name: str, signature: Any, predictor: Any) -> None:
        self.name = name
        self.inputs = tuple(signature.inputs)
        self.outputs = tuple(signature.outputs)
        self.examples = tuple(signature.examples)
        self.is_brief = predictor.is_brief
        self.predict: Callable[[Batch], Outputs] = predictor.predict


class MovedPart:
    """A node that something elsewhere answers for."""

    is_brief = False

    def __init__(self, part: Part, elsewhere: Any) -> None:
        """Take what *part* takes, and give what it gives, by *elsewhere*."""
        self.name = part.name
        self.inputs, self.outputs, self.examples = part.inputs, part.outputs, part.examples
        self.predict: Callable[[Batch], Outputs] = elsewhere.predict


class _Joined:
    """What nodes of several parts have in common."""

    def __init__(self, name: str, *, inputs: tuple[Field, ...], outputs: tuple[Output, ...], examples: Any) -> None:
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.examples: tuple[Mapping[str, Any], ...] = tuple(examples)
        self.is_brief = False

    def _asking(self, part: Part) -> tuple[Part, Picker]:
        return part, picker(part.inputs, self.inputs)


class EnsemblePart(_Joined):
    """Joins the answers of all members: means of numbers and probabilities, or the label with most votes."""

    def __init__(self, members: Sequence[Part], weights: Sequence[float], **about: Any) -> None:
        super().__init__(**about)
        self._members = [self._asking(member) for member in members]
        self._together = Together(members)
        self._weights = weights
        self.is_brief = all(member.is_brief for member in members)

    def predict(self, batch: Batch) -> Outputs:
        """Return the joined answers."""
        import numpy as np

        answers = asked(self._together, self._members, batch)
        names = [[output.name for output in part.outputs] for part, _ in self._members]
        found: dict[str, np.ndarray[Any, Any]] = {}
        # Labels last, since they follow from probabilities.
        for output in sorted(self.outputs, key=lambda output: output.semantics == "label"):
            columns = [each[own.index(output.name)] for each, own in zip(answers, names, strict=True)]
            if output.semantics != "label":
                found[output.name] = sum(
                    weight * np.asarray(column, dtype=np.float64)
                    for weight, column in zip(self._weights, columns, strict=True)
                )  # type: ignore[assignment]
            else:
                found[output.name] = self._label(output, columns, found)
        return tuple(found[output.name] for output in self.outputs)

    def _label(self, output: Output, columns: Sequence[Any], found: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        import numpy as np

        labels = np.asarray(output.labels)
        probabilities = next(
            (found[each.name] for each in self.outputs if each.semantics == "probability" and each.name in found), None
        )
        if probabilities is None:
            votes = [
                weight * (np.asarray(column)[:, None] == labels[None, :])
                for weight, column in zip(self._weights, columns, strict=True)
            ]
            probabilities = sum(votes)
        # Votes of equal weight are sums of the same numbers in another order, which differ in the last digit.
        best = probabilities.max(axis=1, keepdims=True)
        chosen: np.ndarray[Any, Any] = labels[(probabilities >= best - 1e-12).argmax(axis=1)]
        return chosen


def asked(together: Together, members: Sequence[tuple[Part, Picker]], batch: Batch) -> list[Outputs]:
    """Return what each of *members* says of the whole *batch*, in their order."""
    jobs = {place: partial(_ask, part, pick, batch) for place, (part, pick) in enumerate(members)}
    found = together.ask(jobs)
    return [found[place] for place in range(len(members))]


def _ask(part: Part, pick: Picker, batch: Batch) -> Outputs:
    return part.predict(pick(batch))


class StackPart(_Joined):
    """Gives the answers of all members, and the inputs, to one more."""

    def __init__(self, members: Sequence[tuple[str, Part]], last: Part, **about: Any) -> None:
        super().__init__(**about)
        self._names = [name for name, _ in members]
        self._members = [self._asking(member) for _, member in members]
        self._together = Together([member for _, member in members])
        self._last = last
        self._places = {field.name: place for place, field in enumerate(self.inputs)}
        self.is_brief = last.is_brief and all(part.is_brief for _, part in members)

    def predict(self, batch: Batch) -> Outputs:
        """Return what the last says."""
        columns: dict[str, Any] = {}
        answers = asked(self._together, self._members, batch)
        for name, (part, _), outputs in zip(self._names, self._members, answers, strict=True):
            for output, values in zip(part.outputs, outputs, strict=True):
                columns |= stacked_columns(name, output, values)
        picked = [
            columns[field.name] if field.name in columns else batch.column(self._places[field.name])
            for field in self._last.inputs
        ]
        return self._last.predict(Batch(fields=self._last.inputs, columns=picked, height=batch.height))


def stacked_columns(member: str, output: Output, values: Any = None) -> dict[str, Any]:
    """Return the columns of one output of a member, by the names that a stack's last part knows them by."""
    if output.semantics != "probability":
        return {f"{member}.{output.name}": values}
    return {
        f"{member}.{output.name}.{label}": None if values is None else values[:, place]
        for place, label in enumerate(output.labels)
    }


class SwitchPart(_Joined):
    """Sends each row to one part; a router or a split."""

    def __init__(self, parts: Sequence[Part], choose: Chooser, **about: Any) -> None:
        super().__init__(**about)
        self._parts = [self._asking(part) for part in parts]
        self._together = Together(parts)
        self._choose = choose
        self.is_brief = all(part.is_brief for part in parts)

    def predict(self, batch: Batch) -> Outputs:
        """Return the answers of each row's part, in the order of the rows."""
        chosen = self._choose(batch)
        rows_of: list[list[int]] = [[] for _ in self._parts]
        for row, place in enumerate(chosen):
            rows_of[place].append(row)

        def ask(place: int) -> Outputs:
            rows, (part, pick) = rows_of[place], self._parts[place]
            return at_rows(rows, lambda: part.predict(pick(rows_at(batch, rows))))

        found = self._together.ask({place: partial(ask, place) for place, rows in enumerate(rows_of) if rows})
        return scattered([(rows_of[place], answers) for place, answers in sorted(found.items())], batch.height)


Chooser = Callable[[Batch], Sequence[int]]
"""Says for each row which part answers."""


def router(conditions: Sequence[Condition], inputs: Sequence[Field]) -> Chooser:
    """Return what chooses the first condition that holds, or the one behind all."""
    places = {field.name: place for place, field in enumerate(inputs)}
    tests = [(places[each.field], _HOLDS[each.operator], each.value) for each in conditions]

    def choose(batch: Batch) -> list[int]:
        columns = [batch.column(place) for place, _, _ in tests]
        return [
            next((number for number, (_, holds, wanted) in enumerate(tests) if _holds(holds, row[number], wanted)), -1)
            % (len(tests) + 1)
            for row in (zip(*columns, strict=True) if columns else [()] * batch.height)
        ]

    return choose


def _holds(holds: Callable[[Any, Any], Any], value: Any, wanted: Any) -> bool:
    return value is not None and value == value and bool(holds(value, wanted))


def splitter(shares: Sequence[float], by: Sequence[str], seed: int, inputs: Sequence[Field]) -> Chooser:
    """Return what chooses by a hash of some inputs, so that the parts get their shares."""
    places = [place for name in by for place, field in enumerate(inputs) if field.name == name]
    bounds = [math.fsum(shares[: number + 1]) for number in range(len(shares))]

    def choose(batch: Batch) -> list[int]:
        columns = [batch.column(place) for place in places]
        return [_share(bounds, place_of([_plain(value) for value in row], seed)) for row in zip(*columns, strict=True)]

    return choose


def _share(bounds: Sequence[float], place: float) -> int:
    return next((number for number, bound in enumerate(bounds) if place < bound), len(bounds))


def _plain(value: Any) -> Any:
    """Return a value as Python has it, the same one for a list and an array; NaN is missing."""
    found = value.item() if hasattr(value, "item") else value
    return None if found != found else found


class FallbackPart(_Joined):
    """Asks the second for rows that the first fails on, and for all when it takes too long."""

    def __init__(self, first: Part, second: Part, timeout_s: float, **about: Any) -> None:
        super().__init__(**about)
        self._first = self._asking(first)
        self._second = self._asking(second)
        self._timeout_s = timeout_s
        self.is_brief = first.is_brief and second.is_brief and timeout_s == math.inf
        self._threads = Threads(max_waiting=0) if timeout_s < math.inf else None
        self._late: Future[Outputs] | None = None  #: an answer that nobody waits for any more

    def predict(self, batch: Batch) -> Outputs:
        """Return the answers of the first where it has some."""
        try:
            return self._tried(batch)
        except (TimeoutError, NodeDown, NodeLate):  # for all rows alike
            return self._asked(self._second, batch)
        except PredictionFailed:
            if batch.height == 1:
                return self._asked(self._second, batch)
        middle = batch.height // 2
        halves = (range(middle), range(middle, batch.height))
        answers = [(rows, at_rows(rows, partial(self.predict, batch.part(rows.start, rows.stop)))) for rows in halves]
        return scattered(answers, batch.height)

    def _tried(self, batch: Batch) -> Outputs:
        if self._threads is None:
            return self._asked(self._first, batch)
        if self._late is not None and not self._late.done():
            raise TimeoutError  # it still works on what came before; to wait for it again would help nobody
        now = course()
        until_s = min(now.deadline_s, time.perf_counter() + self._timeout_s)
        own = Course(deadline_s=until_s, places=now.places, notes=None if now.notes is None else [])
        asked = self._late = self._threads.submit(lambda: within(own, lambda: self._asked(self._first, batch)))
        answers = asked.result(max(0.0, until_s - time.perf_counter()))
        if now.notes is not None and own.notes is not None:
            now.notes.extend(own.notes)  # of what came too late nobody hears
        return answers

    def _asked(self, asking: tuple[Part, Picker], batch: Batch) -> Outputs:
        part, pick = asking
        return part.predict(pick(batch))


class ShadowPart(_Joined):
    """Answers with one part, and asks another the same, for which nobody waits."""

    def __init__(self, part: Part, shadowed: Part, **about: Any) -> None:
        super().__init__(**about)
        self.left_out = 0  #: rows that were not asked since too many waited
        self._part = self._asking(part)
        self._shadowed = self._asking(shadowed)
        self._threads = Threads(max_waiting=_MAX_BEHIND)
        self.is_brief = part.is_brief

    def predict(self, batch: Batch) -> Outputs:
        """Return what the part says."""
        part, pick = self._part
        answers = part.predict(pick(batch))
        shadowed, pick_too = self._shadowed
        try:
            in_background(self._threads, lambda: shadowed.predict(pick_too(batch)))
        except Busy:
            self.left_out += batch.height
        return answers


class BeforePart(_Joined):
    """Gives a part what a function makes of the rows."""

    def __init__(self, function: Callable[..., Any], part: Part, **about: Any) -> None:
        super().__init__(**about)
        self._function = function
        self._part = part

    def predict(self, batch: Batch) -> Outputs:
        """Return what the part says of what the function made."""
        return self._part.predict(self.made(batch))

    def made(self, batch: Batch) -> Batch:
        """Return what the function makes. Raises PredictionFailed."""
        frame = self.try_made(batch)
        try:
            return Batch.of_frame(self._part.inputs, frame)
        except Exception as error:
            raise _failed(self._function, error) from error

    def try_made(self, batch: Batch) -> pl.DataFrame:
        """Return the table that the function makes, whatever its columns. Raises PredictionFailed."""
        try:
            frame: pl.DataFrame = self._function(batch.frame())
        except (Exception, SystemExit) as error:
            raise _failed(self._function, error) from error
        if frame.height != batch.height:
            why = f"{self._function.__name__} made {frame.height} rows of {batch.height}."
            raise PredictionFailed("A function of the graph failed.", why=why)
        return frame


class AfterPart(_Joined):
    """Answers what a function makes of the answers of a part."""

    def __init__(self, part: Part, function: Callable[..., Any], **about: Any) -> None:
        super().__init__(**about)
        self._part = part
        self._function = function

    def predict(self, batch: Batch) -> Outputs:
        """Return what the function made, each of the shape that its output says."""
        import numpy as np

        given = zip(self._part.outputs, self._part.predict(batch), strict=True)
        try:
            made = self._function({output.name: values for output, values in given})
            found = tuple(np.asarray(made[output.name]) for output in self.outputs)
        except (Exception, SystemExit) as error:
            raise _failed(self._function, error) from error
        for output, values in zip(self.outputs, found, strict=True):
            wanted = (batch.height, len(output.labels)) if output.semantics == "probability" else (batch.height,)
            if values.shape != wanted:
                why = f"{self._function.__name__} gave {output.name!r} the shape {values.shape}, not {wanted}."
                raise PredictionFailed("A function of the graph failed.", why=why)
        return found


def scattered(answers: Sequence[tuple[Sequence[int], Outputs]], height: int) -> Outputs:
    """Return the answers of some rows each as those of all, in the order of the rows."""
    import numpy as np

    if len(answers) == 1:
        return answers[0][1]
    found = []
    for parts in zip(*(outputs for _, outputs in answers), strict=True):
        whole = np.empty((height, *parts[0].shape[1:]), dtype=np.result_type(*(part.dtype for part in parts)))
        for (rows, _), part in zip(answers, parts, strict=True):
            whole[list(rows)] = part
        found.append(whole)
    return tuple(found)


def _failed(function: Callable[..., Any], error: BaseException) -> PredictionFailed:
    why = f"{function.__name__} raised {type(error).__name__}."
    return PredictionFailed("A function of the graph failed.", why=why)
