"""Pipelines assembled from plain functions: what one is called, another takes as the parameter of that name."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Required, TypedDict, Unpack

from filiera.core.graph import OnFailure
from filiera.core.pipeline import Pipeline, pipeline
from filiera.core.products import Product
from filiera.core.stages import Kind
from filiera.core.step import Step, step
from filiera.core.value import dataclass
from filiera.errors import GraphError, did_you_mean

_Parameter = inspect.Parameter
_STARS = (_Parameter.VAR_POSITIONAL, _Parameter.VAR_KEYWORD)


class PipelineOptions(TypedDict, total=False):
    """The keywords of ``@pipeline``, explained there."""

    kind: Required[Kind]
    publishes: Product | None
    on_failure: OnFailure
    timeout_s: float | None


def pipeline_of(
    name: str,
    functions: Sequence[Callable[..., Any]] | Mapping[str, Callable[..., Any]],
    *,
    inputs: Mapping[str, Any] | None = None,
    returns: str = "",
    **options: Unpack[PipelineOptions],
) -> Pipeline:
    """Return a pipeline of functions that need not know of pipelines, each of them a step.

    A parameter takes what the function of that name returns. All other parameters are the pipeline's, with their types
    and defaults.

    Args:
        name: The pipeline's, and the name of the variable at the top of a module that it is assigned to.
        functions: Functions, or steps where one needs options. In a dictionary, keys are the names of what they return:
            ``{"train_rows, test_rows": split, "model": fit}``.
        inputs: Defaults for parameters of the pipeline: a ``Source``, a ``Dataset``, a plain value.
        returns: Names of what the pipeline returns, such as ``"model, metrics"``; "": what the last function returns.
        options: Those of ``@pipeline``.

    Raises:
        GraphError: The functions wait for each other in a circle, or a name is unknown or used twice.

    >>> def double(number: int) -> int:
    ...     return 2 * number
    >>> def total(double: int, more: int = 1) -> int:
    ...     return double + more
    >>> pipeline_of("sums", [total, double], kind="data", returns="total")(number=4)
    9
    """
    named = functions if isinstance(functions, Mapping) else {_name(function): function for function in functions}
    if len(named) != len(functions):
        raise GraphError(
            f"Two functions of pipeline {name!r} have one name.",
            do="Give a dictionary, whose keys are the names of what they return.",
        )
    calls = [_Call.of(makes, function) for makes, function in named.items()]
    wiring = _Wiring(name, calls, _names(returns) or calls[-1].makes if calls else ())
    signature = wiring.signature(inputs or {})
    caller = sys._getframe(1)  # where the assignment is: the file says which project it belongs to
    function = _function(
        lambda *args, **kwargs: wiring.run(signature, args, kwargs), name, caller.f_code.co_filename, caller.f_lineno
    )
    function.__module__ = caller.f_globals.get("__name__", "")
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return pipeline(**options)(function)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """A function, and the names of what it returns and takes."""

    step: Step[Any, Any]
    makes: tuple[str, ...]
    takes: tuple[str, ...]

    @classmethod
    def of(cls, makes: str, function: Callable[..., Any]) -> _Call:
        made = function if isinstance(function, Step) else step(function)
        names = _names(makes)
        if len(names) > 1 and len(names) != len(made.outputs):
            raise GraphError(
                f"Step {made.name!r} has {len(made.outputs)} outputs, but {len(names)} names: {makes}.",
                do=f"Annotate it as '-> tuple[…]' of {len(names)} types, or give one name.",
            )
        takes = [p.name for p in made.shape.signature.parameters.values() if p.kind not in _STARS]
        return cls(step=made, makes=names, takes=tuple(takes))


class _Wiring:
    """The functions of one pipeline, in an order in which they can be called."""

    def __init__(self, name: str, calls: list[_Call], returns: tuple[str, ...]) -> None:
        self._name = name
        made = [one for call in calls for one in call.makes]
        for one in made:
            if made.count(one) > 1:
                raise GraphError(f"Two functions of pipeline {name!r} return {one!r}.", do="Name them differently.")
        for one in returns:
            if one not in made:
                known = f"They return: {', '.join(made)}.{did_you_mean(one, made)}"
                raise GraphError(f"No function of pipeline {name!r} returns {one!r}.", why=known)
        self._returns = returns
        self._calls = self._ordered(calls, set(made))

    def _ordered(self, calls: list[_Call], made: set[str]) -> list[_Call]:
        ordered: list[_Call] = []
        waiting, missing = list(calls), set(made)
        while waiting:
            ready = next((call for call in waiting if missing.isdisjoint(call.takes)), None)
            if ready is None:
                told = ", ".join(call.step.name for call in waiting)
                raise GraphError(
                    f"The functions of pipeline {self._name!r} wait for each other in a circle: {told}.",
                    why="A parameter takes what the function of that name returns.",
                    do="Rename a parameter, or give a dictionary, whose keys are the names of what they return.",
                )
            waiting.remove(ready)
            missing.difference_update(ready.makes)
            ordered.append(ready)
        return ordered

    def signature(self, inputs: Mapping[str, Any]) -> inspect.Signature:
        """Return the pipeline's parameters: what the functions take and none of them returns."""
        made = {one for call in self._calls for one in call.makes}
        found: dict[str, _Parameter] = {}
        for call in self._calls:
            for name in call.takes:
                if name not in made:
                    found[name] = self._parameter(name, call.step, found.get(name), inputs)
        for name in inputs:
            if name not in found:
                raise GraphError(
                    f"Pipeline {self._name!r} has no parameter {name!r} to take an input.",
                    why=f"It has: {', '.join(found) or 'none'}.{did_you_mean(name, found)}",
                )
        return inspect.Signature(sorted(found.values(), key=lambda p: p.default is not _Parameter.empty))

    def _parameter(
        self, name: str, of: Step[Any, Any], known: _Parameter | None, inputs: Mapping[str, Any]
    ) -> _Parameter:
        default = inputs.get(name, of.shape.signature.parameters[name].default)
        kind = known.annotation if known else of.hints.get(name, Any)
        if known is not None and _Parameter.empty not in (known.default, default) and known.default != default:
            raise GraphError(
                f"Functions of pipeline {self._name!r} have different defaults for {name!r}: "
                f"{known.default!r} and {default!r}.",
                do=f"Choose one: inputs={{{name!r}: {known.default!r}}}.",
            )
        if known is not None and default is _Parameter.empty:
            default = known.default
        return _Parameter(name, _Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)

    def run(self, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what the functions make of these arguments."""
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values = dict(bound.arguments)
        for call in self._calls:
            result = call.step(**{name: values[name] for name in call.takes})
            results = (result,) if len(call.makes) == 1 else result
            values.update(zip(call.makes, results, strict=True))
        returned = tuple([values[name] for name in self._returns])
        return returned[0] if len(returned) == 1 else returned or None


def _function(function: Callable[..., Any], name: str, file: str, line: int) -> Callable[..., Any]:
    """Return *function* under a name and place of its own, as if it had been written there."""
    function.__name__ = function.__qualname__ = name
    code = function.__code__
    function.__code__ = code.replace(co_name=name, co_qualname=name, co_filename=file, co_firstlineno=line)
    return function


def _name(function: Callable[..., Any]) -> str:
    return function.name if isinstance(function, Step) else str(getattr(function, "__name__", function))


def _names(text: str) -> tuple[str, ...]:
    """Return the names in a list of names.

    >>> _names("train_rows, test_rows")
    ('train_rows', 'test_rows')
    """
    return tuple([name.strip() for name in text.split(",") if name.strip()])
