"""A function or a class behind an address: arguments in, an answer or a stream of items out."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from filiera.core.products import Dataset, Model
from filiera.core.service import ServiceOptions
from filiera.errors import FilieraError, ProjectError
from filiera.serving.answer_cache import COUNTS, REFUSED, AnswerCache, Found, wants_fresh
from filiera.serving.call_failures import problem_of
from filiera.serving.framing import EVENTS, LINES
from filiera.serving.function_contract import RAW, RAW_KINDS, api_part, describe
from filiera.serving.function_stream import Answering, pieces_of, with_first
from filiera.serving.http import Request, Response, StreamResponse, json_response
from filiera.serving.keeping import Keeping, Trouble
from filiera.serving.mount import ApiPart, Route
from filiera.serving.operation import Operation, all_products, operations_of, products_of
from filiera.serving.prediction_ids import PredictionIds
from filiera.serving.problem import Problem, RequestRefused
from filiera.serving.runners import Hand, LoopRunner, Runner, ThreadRunner, items_of
from filiera.serving.served_function import CallFailed, ServedFunction
from filiera.serving.trail import Trail

_log = logging.getLogger("filiera.serving")
_CONCURRENCY = 1
_CONCURRENCY_ASYNC = 64
_CLOSE_S = 10.0
_LARGE_BYTES = 64 * 1024
"""Calls with a larger body are not looked for among those whose answers are kept: reading it would hold up others."""


class FunctionMount:
    """Serves one function, or the public methods of one class."""

    kind = "functions"

    def __init__(
        self,
        served: Any,
        options: ServiceOptions,
        *,
        version: str,
        value_of: Callable[[Model | Dataset], Any] | None = None,
        keeping: Keeping | None = None,
    ) -> None:
        """Read the annotations of *served*; nothing is called yet.

        Args:
            served: A typed function, also asynchronous or a generator; or a class, made once when the service starts.
            options: What ``@service`` says of it, or the defaults.
            version: Shown to callers, and logged.
            value_of: Returns the value of a version that a parameter's default names; None: there is no project.
            keeping: Has the log that takes note of each answer; None: none does.

        Raises:
            ProjectError: It cannot be served; the message names the parameter.
        """
        self.name = options.name or getattr(served, "__name__", type(served).__name__)
        self.version = version
        self._keeping = keeping
        self.operations = operations_of(served, self.name)
        self._served = served
        self._value_of = value_of
        if value_of is None and all_products(served):
            raise ProjectError(f"{self.name} takes versions of products, which only a project has.", do="filiera init")
        self._options = options
        self._log = log = keeping.log if keeping is not None else None
        self._instance: Any = None
        _check_example(options.example, self.operations, self.name)
        self._open = 0
        self._ids = PredictionIds()
        self._cache: AnswerCache[bytes] | None = AnswerCache(options.cache_s) if options.cache_s else None
        self._functions = [
            ServedFunction(operation, version=version, log=log, function=None if operation.attribute else served)
            for operation in self.operations
        ]
        kinds = {operation.is_async for operation in self.operations}
        given = options.concurrency
        self._runners: dict[bool, Runner] = {}
        if True in kinds:
            self._runners[True] = LoopRunner(given or _CONCURRENCY_ASYNC)
        if False in kinds:
            self._runners[False] = ThreadRunner(given or _CONCURRENCY)
        self._limit = (given or (_CONCURRENCY_ASYNC if True in kinds else _CONCURRENCY)) + options.max_waiting

    def routes(self) -> Mapping[str, Route]:
        """Return its description and a path to call for each operation."""
        path = f"/v1/{self.kind}/{self.name}"
        found = {path: Route(method="GET", handler=self._describe, needs_token=self._options.needs_token)}
        for function in self._functions:
            found[f"/v1/{self.kind}/{function.operation.name}:call"] = Route(
                method="POST",
                handler=partial(self._stream if function.operation.streams else self._call, function),
                counts=True,
                counted_as=function.operation.name,
                needs_token=self._options.needs_token,
            )
        return found

    def listed(self) -> Mapping[str, Any]:
        """Return name, version and what can be called."""
        calls = [operation.name for operation in self.operations]
        return {"name": self.name, "version": self.version, "calls": calls}

    def api(self) -> ApiPart:
        """Return paths and schemas of all operations."""
        return api_part(self.name, self.operations, self._example, is_open=not self._options.needs_token)

    def start(self) -> None:
        """Make the object of a class, and call what has an example. Raises FilieraError."""
        try:
            self._give_products()
        except FilieraError:
            raise
        except (Exception, SystemExit) as error:
            raise ProjectError(
                f"{self.name} could not start: {type(error).__name__}: {error}.", why=_place(error)
            ) from error
        for function in self._functions:
            self._warm_up(function)

    async def stop(self) -> None:
        """Close the object of a class, end the threads and flush the log."""
        close = getattr(self._instance, "close", None)
        if close is not None:
            try:
                async with asyncio.timeout(_CLOSE_S):
                    await self._runner(inspect.iscoroutinefunction(close)).run(close)
            except Exception:  # noqa: BLE001 - the others are closed all the same
                _log.exception("%s failed to close", self.name)
        for runner in self._runners.values():
            runner.stop()
        if self._log is not None:
            await asyncio.to_thread(self._log.flush)

    def trouble(self) -> Trouble | None:
        """Return what hinders logging now."""
        return self._keeping.trouble() if self._keeping is not None else None

    def gauges(self) -> Mapping[str, float]:
        """Return how many calls are under way or wait, and how many the log lost."""
        found: dict[str, float] = {
            f'filiera_calls_open{{function="{self.name}"}}': self._open,
            "filiera_log_dropped_total": self._log.dropped() if self._log is not None else 0,
            "filiera_log_troubled": int(self._log is not None and self._log.trouble() != ""),
        }
        if self._cache is not None:
            found |= {name: self._cache.counts[what] for name, what in COUNTS.items()}
            found["filiera_cache_bytes"] = self._cache.size_bytes
        return found

    def _runner(self, is_async: bool) -> Runner:
        """Return where functions of a kind run; a class may have an ``async`` start and plain methods only."""
        if is_async not in self._runners:
            self._runners[is_async] = LoopRunner(1) if is_async else ThreadRunner(1)
        return self._runners[is_async]

    def _give_products(self) -> None:
        """Make the object of a class, and let all that is called have the versions that its parameters name."""
        if inspect.isclass(self._served):
            self._make(partial(self._served, **self._values(products_of(self._served))))
        for function in self._functions:
            if function.operation.products and function.function is not None:
                function.function = partial(function.function, **self._values(function.operation.products))

    def _values(self, products: Mapping[str, Model | Dataset]) -> Mapping[str, Any]:
        if self._value_of is None:
            return {}
        return {name: self._value_of(product) for name, product in products.items()}

    def _make(self, kind: Callable[[], Any]) -> None:
        # Where its methods run, so that what belongs to a thread or a loop, such as a database's connection, fits.
        if False in self._runners:
            self._instance = self._runners[False].run_now(kind)
        else:
            self._instance = self._runners[True].run_now(partial(_made, kind))
        start = getattr(self._instance, "start", None)
        if start is not None:
            self._runner(inspect.iscoroutinefunction(start)).run_now(start)
        for function in self._functions:
            function.function = getattr(self._instance, function.operation.attribute)

    def _example(self, operation: Operation) -> Mapping[str, Any] | None:
        example = self._options.example
        if example is None or not operation.attribute:
            return example
        found: Mapping[str, Any] | None = example.get(operation.attribute)
        return found

    def _warm_up(self, function: ServedFunction) -> None:
        operation = function.operation
        example = self._example(operation)
        if example is None:
            return
        body = msgspec.json.encode(example)
        try:
            self._runner(operation.is_async).run_now(partial(_trial(operation), function, body))
        except (RequestRefused, TypeError, CallFailed) as error:
            cause = error.__cause__ if isinstance(error, CallFailed) else error
            why = error.why if isinstance(error, RequestRefused) else f"It raised {type(cause).__name__}: {cause}."
            raise ProjectError(
                f"{operation.name} does not answer its own example.",
                why=why,
                do="Correct the example in @service, or the function.",
            ) from error

    async def _describe(self, request: Request) -> Response:
        return json_response(describe(self.name, self.version, self.operations, self._example))

    async def _call(self, function: ServedFunction, request: Request) -> Response:
        body, limit_s = await _body(function.operation, request), min(self._options.timeout_s, request.timeout_s)
        identity, trail = self._ids.next(), request.trail
        trail.version = self.version
        trail.mark("read")
        before = self._keeping.admit() if self._keeping is not None else 0
        told: Mapping[str, str] = REFUSED if self._cache is not None and wants_fresh(request.headers) else {}
        if self._cache is not None and not told and len(body) <= _LARGE_BYTES and (key := function.key(body)):
            found = await self._from_cache(self._cache, function, _Call(key, body, limit_s), trail)
            told, content = found.headers(), function.answered(identity, body, found.value)
            trail.mark("log")
        else:
            answer = function.answer_async if function.operation.is_async else function.answer
            content = await self._run(function, partial(answer, identity, body), limit_s, trail)
        if self._keeping is not None:
            await self._keeping.kept(before)
        return Response(content=content, rows=1, headers=told)

    async def _from_cache(
        self, cache: AnswerCache[bytes], function: ServedFunction, call: _Call, trail: Trail
    ) -> Found[bytes]:
        """Return the result that is kept, or made now."""
        found = cache.find(call.key)
        if found is not None:
            return found
        compute = function.compute_async if function.operation.is_async else function.compute
        job = partial(compute, call.body)
        try:
            return await cache.made(
                call.key, lambda: self._run(function, job, call.limit_s, trail), len, timeout_s=call.limit_s
            )
        except TimeoutError as error:
            raise RequestRefused(problem_of(function.operation, error, call.limit_s)) from error

    async def _run(self, function: ServedFunction, job: Callable[[], Any], limit_s: float, trail: Trail) -> bytes:
        """Return what a job of a function gives, when it has its turn. Raises RequestRefused."""
        operation = function.operation
        self._admit()
        try:
            async with asyncio.timeout(limit_s):
                content: bytes = await self._runner(operation.is_async).run(_within(trail, operation)(job))
        except (CallFailed, TimeoutError) as error:
            raise RequestRefused(problem_of(operation, error, limit_s)) from error
        finally:
            self._open -= 1
            trail.mark("call")
        return content

    async def _stream(self, function: ServedFunction, request: Request) -> StreamResponse:
        body, limit_s = await _body(function.operation, request), min(self._options.timeout_s, request.timeout_s)
        framing = EVENTS if EVENTS.media_type in request.headers.get("accept", "") else LINES
        request.trail.version = self.version
        request.trail.mark("read")
        if self._keeping is not None:
            self._keeping.admit()
        self._admit()
        items: AsyncGenerator[bytes, None] | None = None

        async def close() -> None:
            self._open -= 1
            if items is not None:
                await items.aclose()

        try:
            items = await self._opened(function, body, limit_s, request.trail)
            first = await anext(items, None)  # so that what fails at once has a status that says so
        except BaseException as error:
            await close()
            if isinstance(error, CallFailed | TimeoutError):
                raise RequestRefused(problem_of(function.operation, error, limit_s)) from error
            raise
        identity = self._ids.next()
        pieces = pieces_of(Answering(function, identity, body, limit_s), framing, with_first(first, items))
        return StreamResponse(pieces, media_type=framing.media_type, close=close)

    async def _opened(
        self, function: ServedFunction, body: bytes, limit_s: float, trail: Trail
    ) -> AsyncGenerator[bytes, None]:
        is_async, within = function.operation.is_async, _within(trail, function.operation)
        runner = self._runner(is_async)
        async with asyncio.timeout(limit_s):
            items = await runner.run(partial(function.open_async if is_async else function.open, body))

        def pull(hand: Hand, count: int) -> Any:
            return within(partial(items.pull, hand, count))()

        return items_of(runner, pull, items.close, timeout_s=limit_s)

    def _admit(self) -> None:
        if self._open >= self._limit:
            problem = Problem(kind="busy", detail="Try again in a second.", headers={"Retry-After": "1"})
            raise RequestRefused(problem)
        self._open += 1


async def _body(operation: Operation, request: Request) -> bytes:
    """Return a call as JSON; a body that is not, but bytes for the one parameter that takes them, in that form."""
    media_type = request.media_type
    if not operation.raw or not (media_type == RAW or media_type.startswith(RAW_KINDS)):
        return await request.body("application/json", *([RAW] if operation.raw else []))
    return msgspec.json.encode({operation.raw: await request.body(media_type)})


class _Call(NamedTuple):
    """A call whose answer may be kept."""

    key: bytes
    body: bytes
    limit_s: float  #: how long the answer is waited for


def _within(trail: Trail, operation: Operation) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Return what makes a job of the operation's kind part of the request's trace."""
    return trail.within_async if operation.is_async else trail.within


def _check_example(example: Mapping[str, Any] | None, operations: Sequence[Operation], name: str) -> None:
    known = [operation.attribute for operation in operations if operation.attribute]
    for method in example or {}:
        if known and method not in known:
            raise ProjectError(
                f"The example of {name} is for {method!r}, which cannot be called.",
                why=f"The example of a class has arguments by method; there are: {', '.join(known)}.",
            )


async def _made(kind: Callable[[], Any]) -> Any:
    return kind()


def _trial(operation: Operation) -> Callable[[ServedFunction, bytes], Any]:
    """Return the job that calls a function once, of a stream up to its first item, and does not log it."""
    if not operation.streams:
        return ServedFunction.compute_async if operation.is_async else ServedFunction.compute
    return _first_async if operation.is_async else _first


def _first(function: ServedFunction, body: bytes) -> None:
    items = function.open(body)
    items.pull(lambda item: None, 1)
    items.close()


async def _first_async(function: ServedFunction, body: bytes) -> None:
    items = await function.open_async(body)
    await items.pull(lambda item: None, 1)
    await items.close()


def _place(error: BaseException) -> str:
    """Return the last frame of user code, for people."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"It was raised in {frames[-1].filename}, line {frames[-1].lineno}." if frames else ""
