"""Executes one task in this process: load the inputs, call the function, store the outputs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, GeneratorType
from typing import Any, Protocol

from filiera.core import checkpoint, logged, plain
from filiera.core.artifact import ArtifactRef
from filiera.core.task import Failure, FailureKind, Finished, SourceStamp, Task
from filiera.engine.checkpoints import Checkpoint, Checkpoints
from filiera.engine.curves import CurveFiles, CurveLog
from filiera.engine.failures import failure_from
from filiera.engine.logs import show_logging
from filiera.errors import CodecError, SourceError, StepFailed


class Artifacts(Protocol):
    """Stores values and loads them again."""

    def put(self, value: object, codec: str | None = None) -> ArtifactRef:
        """Store *value*. Raises CodecError, StoreError."""

    def put_parts(self, items: Iterable[object]) -> ArtifactRef:
        """Store a list of *items*, each as it comes. Raises CodecError, StoreError."""

    def manifest(self, parts: Iterable[ArtifactRef]) -> ArtifactRef:
        """Store the list of values that *parts* name. Raises StoreError."""

    def get(self, ref: ArtifactRef, *, lazily: bool = False) -> Any:
        """Return the value, a list *lazily* as one that loads its items when asked. Raises CodecError, StoreError."""


def execute(
    task: Task,
    *,
    artifacts: Artifacts,
    checkpoints: Checkpoints | None = None,
    curves: CurveFiles | None = None,
    following: tuple[tuple[ArtifactRef, ...], str] | None = None,
) -> Finished:
    """Return how *task* ended; whatever its function raises is a failure.

    Args:
        task: What to do.
        artifacts: Where inputs and outputs are.
        checkpoints: Where checkpoints are kept.
        curves: Where metrics go that the step logs.
        following: Inputs and key of a task that follows another, now that they are known.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C, or the function raised it.
    """
    started_at, start = time.time(), time.perf_counter()
    outputs: tuple[ArtifactRef, ...] = ()
    blocked = ""
    failure: Failure | None = None
    inputs, key = following or (task.inputs, task.key)
    kept = checkpoints.of(key) if checkpoints is not None and key else None
    log = curves.log_of(key, task.watched) if curves is not None and key else None
    token = logged.begin(log) if log is not None else None
    try:
        outputs, blocked = _run(task, inputs, artifacts, kept)
    except KeyboardInterrupt:
        raise
    except _Failed as error:
        failure = failure_from(error.cause, error.kind)
    except BaseException as error:  # noqa: BLE001  the function is the user's: all that it raises is told, not handled
        failure = failure_from(error, "raised")
    finally:
        if token is not None:
            logged.end(token)
    may_go_on = failure is not None and kept is not None and kept.is_used
    return Finished(
        task_id=task.task_id,
        outputs=outputs,
        failure=failure,
        blocked=blocked,
        started_at=started_at,
        duration_s=time.perf_counter() - start,
        metrics=log.finish(artifacts, keep=may_go_on) if log is not None else None,
    )


_Results = tuple[tuple[ArtifactRef, ...], str]
"""The stored outputs, and the summaries of those that block."""


class _Failed(Exception):
    """It was not the function that failed."""

    def __init__(self, kind: FailureKind, cause: BaseException) -> None:
        self.kind, self.cause = kind, cause
        super().__init__()


def _run(task: Task, inputs: tuple[ArtifactRef, ...], artifacts: Artifacts, kept: Checkpoint | None) -> _Results:
    if task.sources:
        _require_same_code(task.sources)
    function = find_function(task.function)
    show_logging()
    try:
        arguments = _load_arguments(task, inputs, artifacts)
    except Exception as error:
        raise _Failed("input", error) from error
    if kept is None:
        return _call(task, function, arguments, artifacts)
    token = checkpoint.begin(kept)
    try:
        results = _call(task, function, arguments, artifacts)
    finally:
        checkpoint.end(token)
    if kept.is_used:
        kept.remove()
    return results


def _call(task: Task, function: Callable[..., Any], arguments: dict[str, Any], artifacts: Artifacts) -> _Results:
    if task.is_dynamic:
        return (_traced(function, arguments, artifacts),), ""
    values = _split(function(**arguments), task.outputs)
    for value in values:
        _log_metrics(value)
    if task.codecs:
        refs = [_put(value, codec or None, artifacts) for value, codec in zip(values, task.codecs, strict=True)]
    else:
        refs = [_put(value, None, artifacts) for value in values]
    return tuple(refs), _blocked(values)


def _log_metrics(value: Any) -> None:
    """Log the metrics that a step returns, bare or inside an evaluation, so that lists of runs can show them too."""
    module = sys.modules.get("filiera.core.metric")
    if module is None:
        return  # there cannot be any
    found: Any = value if type(value) is module.Metrics else getattr(value, "metrics", None)
    log = logged.current()
    if type(found) is module.Metrics and isinstance(log, CurveLog):
        log.add_returned((metric.name, metric.value) for metric in found)


def _traced(function: Callable[..., Any], arguments: dict[str, Any], artifacts: Artifacts) -> ArtifactRef:
    """Return the graph that a dynamic step's function makes, and behind it the values that it names."""
    from filiera.core.subgraph import stored_in, trace_call

    description = trace_call(function, arguments, artifacts.put)
    return artifacts.manifest([artifacts.put(description), *stored_in(description)])


def _put(value: Any, codec: str | None, artifacts: Artifacts) -> ArtifactRef:
    if type(value) is GeneratorType:
        try:
            return artifacts.put_parts(value)  # runs the function: what that raises is not the store's fault
        except CodecError as error:
            raise _Failed("codec", error) from error
    try:
        return artifacts.put(value, codec)
    except SourceError:
        raise  # a query reads its source while it is stored: it is not the codec's fault
    except Exception as error:
        raise _Failed("codec", error) from error


def execute_here(
    task: Task,
    *,
    artifacts: Artifacts,
    checkpoints: Checkpoints | None = None,
    curves: CurveFiles | None = None,
) -> Finished:
    """Do what ``execute`` does, in a process that has other things to do: put its folder and environment back after."""
    surroundings = Surroundings()
    try:
        return execute(task, artifacts=artifacts, checkpoints=checkpoints, curves=curves)
    finally:
        surroundings.restore()


class Surroundings:
    """The current folder and the environment variables, as they are now."""

    def __init__(self) -> None:
        self._folder = os.getcwd()  # noqa: PTH109  a string: this is done for every step
        self._environment = dict(_variables())

    def restore(self) -> None:
        """Put back what has changed."""
        os.chdir(self._folder)
        if _variables() != self._environment:
            os.environb.clear()
            os.environb.update(self._environment)


def _variables() -> dict[bytes, bytes]:
    # What os.environ and os.environb wrap. Comparing it takes 0.3 µs, comparing them 24 µs, which each task would pay.
    variables: dict[bytes, bytes] = vars(os.environ)["_data"]
    return variables


def _require_same_code(sources: tuple[SourceStamp, ...]) -> None:
    """Refuse to import code that was edited after the run was planned: its result would be kept under the old key.

    Raises:
        StepFailed: A file has changed, and this process has not loaded it yet.
    """
    for module, file, size_bytes, changed_at_ns in sources:
        if module in sys.modules:
            continue
        try:
            stat = os.stat(file)  # noqa: PTH116  a string: it is asked for every step
        except FileNotFoundError:
            stat = None
        if stat is None or (stat.st_size, stat.st_mtime_ns) != (size_bytes, changed_at_ns):
            raise StepFailed(
                f"{file} was changed while the run was going.",
                why="This step would run other code than the run was planned with.",
                do="filiera resume plans it again with the code as it is now; a notebook must import it again first.",
            )


def find_function(name: str) -> Callable[..., Any]:
    """Return the plain function named ``module:qualified.name``, importing its module.

    Raises:
        StepFailed: The module has no such name.
        Exception: Whatever importing the module raises.

    >>> find_function("textwrap:dedent").__name__
    'dedent'
    """
    module_name, _, path = name.partition(":")
    if module_name not in sys.modules:
        __import__(module_name)
    found: Any = sys.modules[module_name]
    for part in path.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise _not_found(module_name, path)
    function: Callable[..., Any] = found if type(found) is FunctionType else getattr(found, "function", found)
    return function


def _not_found(module_name: str, path: str) -> StepFailed:
    if module_name == "__main__":
        why = "It is defined in a script or notebook, which a worker process does not have."
        return StepFailed(
            f"No step {path!r} here.", why=why, do="Move the step to a module, or use executor = 'inline'."
        )
    if "<locals>" in path:
        why = "It is defined inside another function, where no other process can find it."
        return StepFailed(f"No step {path!r} here.", why=why, do="Move the step to the top level of its module.")
    why = "The file may have changed since the run was planned."
    return StepFailed(f"Module {module_name!r} has no {path!r}.", why=why, do="Run again.")


def _load_arguments(task: Task, refs: tuple[ArtifactRef, ...], artifacts: Artifacts) -> dict[str, Any]:
    for module in task.modules:
        __import__(module)
    arguments: dict[str, Any] = plain.decode(task.arguments)
    if not refs:
        return arguments
    lazy = {value.index: task.lazy[name] for name, value in _lazy_ones(arguments, task)} if task.lazy else {}
    # Each input once, however often it is used: two parameters given one artifact see one object, as in plain Python.
    inputs = [artifacts.get(ref, lazily=number in lazy) for number, ref in enumerate(refs)]
    for number, how in lazy.items():
        if how == "iterator":
            inputs[number] = iter(inputs[number])
    return {name: _fill(value, inputs) for name, value in arguments.items()}


def _lazy_ones(arguments: Mapping[str, Any], task: Task) -> Iterator[tuple[str, plain.Placeholder]]:
    """Yield the arguments that are inputs and need not be in memory: one input each, or several queries."""
    for name, how in task.lazy.items():
        value = arguments.get(name)
        several = list(value.values()) if how == "query" and type(value) is dict else [value]
        for one in several:
            if type(one) is plain.Placeholder:
                yield name, one


def _fill(value: Any, inputs: list[Any]) -> Any:
    """Return *value* with its placeholders replaced."""
    kind = type(value)
    if kind is plain.Placeholder:
        return inputs[value.index]
    if kind is list:
        return [_fill(item, inputs) for item in value]
    if kind is tuple:
        return tuple([_fill(item, inputs) for item in value])
    if kind is dict:
        return {key: _fill(item, inputs) for key, item in value.items()}
    return value


def _split(result: Any, outputs: int) -> tuple[Any, ...]:
    if outputs == 1:
        return (result,)
    if outputs == 0:
        if result is None:
            return ()
        do = "Return nothing, or give the step a return type."
        raise StepFailed(f"The step returned a {type(result).__name__}, but declares no output.", do=do)
    if isinstance(result, tuple | list) and len(result) == outputs:
        return tuple(result)
    got = f"{len(result)} values" if isinstance(result, tuple | list) else f"one {type(result).__name__}"
    do = f"Return a tuple of {outputs} values, as the step's return type says."
    raise StepFailed(f"The step returned {got}, but declares {outputs} outputs.", do=do)


def _blocked(values: tuple[Any, ...]) -> str:
    """Return the summaries of those *values* that are verdicts and block; empty when none is."""
    # `is True`, not truth: a table with a column named "blocks" answers the attribute too.
    blocking = [value for value in values if getattr(value, "blocks", False) is True]
    return "; ".join([str(value.summary) for value in blocking]) if blocking else ""
