"""Notes the step calls of a pipeline function as the nodes of a graph, checking each where it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filiera.core import plain
from filiera.core.artifact import INLINE_LIMIT_BYTES
from filiera.core.graph import Choice, Future, Given, Node, OutputRef, futures_in, map_futures
from filiera.core.parameters import value_fits
from filiera.core.products import Dataset, Model, Source
from filiera.core.stages import Kind
from filiera.core.step import Step, active_tracer
from filiera.core.types import fits, items_of, show
from filiera.errors import GraphError

_LISTS = (list, tuple, range)
_PLAIN = frozenset({int, str, bool, float, type(None)})
"""By far the most frequent types of values, which are plain whatever they hold."""


class GraphTracer:
    """Collects the step calls of one function.

    Args:
        kind: Of the pipeline, for the stages of its steps.
        keep: Stores a value that cannot be written in a graph and returns what stands for it. Without it, such values
            are refused: only what runs on real values may have them.
    """

    def __init__(self, kind: Kind, *, keep: Callable[[object], Future] | None = None) -> None:
        self.kind: Kind = kind
        self.nodes: list[Node] = []
        self._taken: dict[str, int] = {}
        self._when: tuple[tuple[OutputRef, bool], ...] = ()
        self._prefix = ""
        self._keep = keep

    def add(self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return a future per output of a new node. Raises GraphError."""
        arguments = step.shape.bind(step.name, args, kwargs)
        hints = step.hints
        for name, value in arguments.items():
            wanted = hints.get(name, Any)
            kind = type(value)
            if kind is OutputRef:
                if not fits(value.type, wanted):
                    raise _misfit(step, name, value, wanted)
            elif kind not in _PLAIN or not (kind is wanted or wanted is Any):
                arguments[name] = self._accepted(step, name, value)
        node = Node(
            name=self._fresh_name(step.name),
            step=step,
            stage=step.stage_in(self.kind),
            arguments=arguments,
            when=self._when,
        )
        self.nodes.append(node)
        outputs = step.outputs
        if len(outputs) == 1:
            return OutputRef(node.name, 0, outputs[0])
        return tuple([OutputRef(node.name, index, kind) for index, kind in enumerate(outputs)]) or None

    def add_each(
        self, step: Step[Any, Any], varying: tuple[Any, ...], fixed: Mapping[str, Any], *, crossed: bool
    ) -> Any:
        """Return a future of a list per output of a new node that calls *step* once per item. Raises GraphError."""
        if not varying:
            raise GraphError(
                f"Step {step.name!r} is mapped over nothing.",
                why="Arguments that vary are given by position, those given by name are the same in each call.",
                do=f"Write {step.name}.map(items, …).",
            )
        arguments = step.shape.bind(step.name, varying, fixed)
        each = step.shape.names[: len(varying)]
        for name, value in arguments.items():
            arguments[name] = self._items(step, name, value) if name in each else self._accepted(step, name, value)
        if not crossed:
            _require_one_length(step, {name: arguments[name] for name in each})
        node = Node(
            name=self._fresh_name(step.name),
            step=step,
            stage=step.stage_in(self.kind),
            arguments=arguments,
            when=self._when,
            each=each,
            crossed=crossed,
        )
        self.nodes.append(node)
        lists = tuple([OutputRef(node.name, index, list[kind]) for index, kind in enumerate(step.outputs)])  # type: ignore[valid-type]
        return lists[0] if len(lists) == 1 else lists or None

    @contextmanager
    def under(self, condition: OutputRef, value: bool) -> Iterator[None]:
        """Let the steps called meanwhile be skipped unless *condition* turns out as *value*."""
        before = self._when
        self._when = (*before, (condition, value))
        try:
            yield
        finally:
            self._when = before

    @contextmanager
    def prefixed(self, prefix: str) -> Iterator[None]:
        """Let the names of the steps called meanwhile begin with *prefix* and a dot."""
        before = self._prefix
        self._prefix = f"{before}{prefix}."
        try:
            yield
        finally:
            self._prefix = before

    def path(self, name: str) -> str:
        """Return *name* behind the prefixes that hold now."""
        return self._prefix + name

    def value(self, value: Any, place: str) -> Any:
        """Return what stands in a graph for *value* at *place*: itself, or a future of what was stored.

        Raises:
            GraphError: It cannot be written in a graph, or outputs of steps lie inside it.
        """
        if isinstance(value, Future):
            return value
        if next(futures_in(value), None) is not None:
            raise GraphError(
                f"{place} a {type(value).__name__} with outputs of steps in it.",
                do="Return a tuple of them, or let a step put them together.",
            )
        if self._keep is not None:
            return value if _fits_in_graph(value) else self._keep(value)
        _require_plain(value, place)
        return value

    def result(self, value: Any) -> Any:
        """Return what the function returned as the graph can say it. Raises GraphError."""
        return self._kept(value)

    def _fresh_name(self, step_name: str) -> str:
        name = self._prefix + step_name
        count = self._taken.get(name, 0) + 1
        self._taken[name] = count
        if count == 1:
            return name
        while (numbered := f"{name}-{count}") in self._taken:
            count += 1
        self._taken[name] = count
        self._taken[numbered] = 1
        return numbered

    def _items(self, step: Step[Any, Any], name: str, value: Any) -> Any:
        if isinstance(value, OutputRef | Given | Choice):
            wanted = step.hints.get(name, Any)
            items = items_of(value.type)
            if not items:
                raise GraphError(
                    f"Step {step.name!r} is mapped over {name}, but {value.label} gives {show(value.type)}.",
                    do=f"Return a list from it, or give {name} by its name: then it is the same in each call.",
                )
            if not fits(items[0], wanted):
                raise _misfit(step, f"each {name}", value, wanted)
        elif not isinstance(value, Future | list | tuple | range):
            raise GraphError(
                f"Step {step.name!r} is mapped over {name}={type(value).__name__}.",
                why="What varies is a list, tuple or range, or the output of a step that returns a list.",
                do=f"Make it a list, or give {name} by its name: then it is the same in each call.",
            )
        else:
            return value if isinstance(value, Future) else [self._accepted(step, name, item) for item in value]
        return value

    def _accepted(self, step: Step[Any, Any], name: str, value: Any) -> Any:
        """Return the argument as it is written in the graph."""
        if isinstance(value, _LOOKED_UP):
            raise GraphError(
                f"Step {step.name!r} is given {value!r} itself.",
                why="Sources and products are looked up for the pipeline's parameters.",
                do=f"Make it the default of a parameter of the pipeline: {name} = {value!r}.",
            )
        if self._keep is None and not isinstance(value, Future):
            _require_plain(map_futures(value, lambda future: None), f"Step {step.name!r} is given", f"{name}=")
        unfit = _try_unfit(value, step.hints.get(name, Any))
        if unfit is not None:
            raise _misfit(step, name, *unfit)
        return self._kept(value)

    def _kept(self, value: Any) -> Any:
        """Return *value* with futures of stored values for what a graph cannot say, or would have to say at length."""
        if isinstance(value, Future) or self._keep is None:
            return value
        if type(value) in _PLAIN and type(value) is not str:
            return value
        if next(futures_in(value), None) is None:
            if _fits_in_graph(value):
                return value
            if plain.is_plain(value) and not _holds_path(value):
                return self._keep(value)
        if type(value) in (list, tuple):
            return type(value)([self._kept(item) for item in value])
        if type(value) is dict:
            return {key: self._kept(item) for key, item in value.items()}
        return self._keep(value)


_LOOKED_UP = Source | Dataset | Model


def current_tracer() -> GraphTracer | None:
    """Return what notes the step calls at the moment; None outside of pipelines."""
    tracer = active_tracer.get()
    return tracer if isinstance(tracer, GraphTracer) else None


def _fits_in_graph(value: Any) -> bool:
    try:
        return len(plain.encode(value)) <= INLINE_LIMIT_BYTES and not _holds_path(value)
    except TypeError:
        return False


def _require_one_length(step: Step[Any, Any], lists: Mapping[str, Any]) -> None:
    lengths = {name: len(value) for name, value in lists.items() if type(value) is list}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{count} of {name}" for name, count in lengths.items())
        raise GraphError(
            f"Step {step.name!r} is mapped over lists of different lengths: {told}.",
            why="The first call takes the first item of each, and so on.",
            do=f"For all combinations, write {step.name}.product(…).",
        )


def _try_unfit(value: Any, wanted: Any) -> tuple[Any, Any] | None:
    """Return the part of *value* that does not fit, with the type that is wanted there; None if all fits."""
    if isinstance(value, OutputRef | Given | Choice):
        return None if fits(value.type, wanted) else (value, wanted)
    if isinstance(value, Future):
        return None
    if next(futures_in(value), None) is None:
        return None if value_fits(value, wanted) else (value, wanted)
    items = items_of(wanted)
    if type(value) is dict or not items:
        return None if fits(type(value), wanted) else (type(value), wanted)
    return next((found for item in value if (found := _try_unfit(item, items[0]))), None)


def _require_plain(value: Any, place: str, name: str = "") -> None:
    if not plain.is_plain(value):
        raise GraphError(
            f"{place} {name}{type(value).__name__} while the graph is built.",
            why="Only plain values (numbers, text, lists, dataclasses…) can be written in a graph.",
            do="Make it the output of a step, or a source of the catalog.",
        )
    if _holds_path(value):
        raise GraphError(
            f"{place} the path {name}{value} while the graph is built.",
            why="The cache key would hold its text, not what the file holds: a changed file would be a hit.",
            do="Make it a source of the catalog (type = 'files'), or pass text if only the name is meant.",
        )


def _holds_path(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_path(item) for item in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return any(_holds_path(item) for item in value)
    return isinstance(value, Path)


def _misfit(step: Step[Any, Any], name: str, value: Any, wanted: Any) -> GraphError:
    if not isinstance(value, OutputRef | Given | Choice):
        return GraphError(f"Step {step.name!r} wants {name}: {show(wanted)}, not {value!r}.")
    return GraphError(
        f"Step {step.name!r} wants {name}: {show(wanted)}, but {value.label} gives {show(value.type)}.",
        do="Correct the annotation that is wrong, or put a converting step between them.",
    )
