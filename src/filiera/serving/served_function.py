"""A function that answers: body to JSON, logged."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import msgspec

from filiera.core.service import Refused
from filiera.ports import PredictionLog
from filiera.serving.answer_cache import key_of
from filiera.serving.operation import AnswerEncoder, Operation
from filiera.serving.problem import Problem, RequestRefused
from filiera.serving.redaction import Redactor
from filiera.serving.runners import Hand

_LOGGED_BYTES = 1024 * 1024
"""Of a stream so much is logged; of what comes beyond only the number of items."""


class CallFailed(Exception):
    """The function raised, or gave something else than it promises; the cause says what."""


class ServedFunction:
    """Decodes arguments, calls, encodes the answer and logs the call."""

    def __init__(
        self,
        operation: Operation,
        *,
        version: str,
        function: Callable[..., Any] | None = None,
        log: PredictionLog | None = None,
    ) -> None:
        """Prepare; a method's *function* is set when its object is made."""
        self.operation = operation
        self.function = function
        self._version = version
        self._log = log
        self._decoder = operation.decoder()
        self._encoder = AnswerEncoder(operation.answer)
        said = {each.name: each.redaction for each in operation.arguments if each.redaction is not None}
        self._redactor = Redactor(said if log is not None else {})

    def key(self, body: bytes) -> bytes | None:
        """Return what is the same for equal arguments; None when that cannot be said. Raises RequestRefused."""
        given = self._decoder.decode(body)
        try:
            spelled = msgspec.json.encode(given, order="deterministic")
        except (TypeError, ValueError):
            return None
        return key_of(self.operation.name.encode(), spelled)

    def compute(self, body: bytes) -> bytes:
        """Return the result of a plain function for a request *body*, as JSON. Raises RequestRefused, CallFailed."""
        given = self._decoder.decode(body)
        try:
            return self._encoder.encode(self._call(given))
        except (Exception, SystemExit) as error:
            raise _failed(error) from error

    async def compute_async(self, body: bytes) -> bytes:
        """Return the result of an asynchronous function. Raises RequestRefused, CallFailed."""
        given = self._decoder.decode(body)
        try:
            return self._encoder.encode(await self._call(given))
        except (Exception, SystemExit) as error:
            raise _failed(error) from error

    def answer(self, identity: str, body: bytes) -> bytes:
        """Return the whole answer of a plain function, and log it. Raises RequestRefused, CallFailed."""
        return self.answered(identity, body, self.compute(body))

    async def answer_async(self, identity: str, body: bytes) -> bytes:
        """Return the whole answer of an asynchronous function, and log it. Raises RequestRefused, CallFailed."""
        return self.answered(identity, body, await self.compute_async(body))

    def open(self, body: bytes) -> Items:
        """Return the items of a plain function that streams. Raises RequestRefused, CallFailed."""
        given = self._decoder.decode(body)
        try:
            return Items(iter(self._call(given)), self._encoder)
        except (Exception, SystemExit) as error:
            raise _failed(error) from error

    async def open_async(self, body: bytes) -> AsyncItems:
        """Return the items of an asynchronous function that streams. Raises RequestRefused, CallFailed."""
        given = self._decoder.decode(body)
        try:
            made = self._call(given)
            return AsyncItems(aiter(await made if isinstance(made, Awaitable) else made), self._encoder)
        except (Exception, SystemExit) as error:
            raise _failed(error) from error

    def streamed(self, identity: str, body: bytes, items: Kept, ended: str) -> None:
        """Log a stream that has *ended*: ``done``, ``failed`` or ``gone``."""
        if self._log is not None:
            outputs: dict[str, Any] = {"ended": ended, "count": items.count}
            if items.is_whole and not self.operation.is_answer_sensitive:
                outputs["items"] = [msgspec.json.decode(item) for item in items.kept]
            self._log.append([self._record(identity, body, outputs)])

    def head(self, identity: str) -> dict[str, Any]:
        """Return what an answer says besides the result."""
        return {"id": identity, "function": self.operation.name, "version": self._version}

    def _call(self, given: Mapping[str, Any]) -> Any:
        assert self.function is not None  # no request is taken before the service has started
        placed, named = self.operation.bound(given)
        return self.function(*placed, **named)

    def answered(self, identity: str, body: bytes, content: bytes) -> bytes:
        """Return the whole answer with the result *content*, and log it."""
        if self._log is not None:
            is_hidden = self.operation.is_answer_sensitive
            outputs = {} if is_hidden else {"result": msgspec.json.decode(content)}
            self._log.append([self._record(identity, body, outputs)])
        return msgspec.json.encode({**self.head(identity), "result": msgspec.Raw(content)})

    def _record(self, identity: str, body: bytes, outputs: Mapping[str, Any]) -> dict[str, Any]:
        inputs = self._redactor.row(msgspec.json.decode(body))
        return {**self.head(identity), "at": time.time(), "inputs": inputs, "outputs": outputs}


class Kept:
    """The items of one stream, as far as they are logged."""

    def __init__(self) -> None:
        self.count = 0
        self.kept: list[bytes] = []
        self._room = _LOGGED_BYTES

    @property
    def is_whole(self) -> bool:
        """Tell whether all items are kept."""
        return self.count == len(self.kept)

    def add(self, item: bytes) -> None:
        """Count an item, and keep it if there is room."""
        self.count += 1
        self._room -= len(item)
        if self._room >= 0:
            self.kept.append(item)


class Items:
    """What a plain function yields, encoded. Pulled and closed from any thread, by one at a time."""

    def __init__(self, items: Iterator[Any], encoder: AnswerEncoder) -> None:
        self._items = items
        self._encoder = encoder
        self._is_closed = False
        self._turn = threading.Lock()

    def pull(self, hand: Hand, count: int) -> bool:
        """Hand over up to *count* items; returns whether there are no more. Raises RequestRefused, CallFailed."""
        with self._turn:
            for _ in range(count):
                if self._is_closed:
                    return True
                try:
                    content = self._encoder.encode(next(self._items))
                except StopIteration:
                    return True
                except (Exception, SystemExit) as error:
                    raise _failed(error) from error
                hand(content)
        return False

    def close(self) -> None:
        """Close the generator, once the item it is at is made."""
        self._is_closed = True
        with self._turn:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()


class AsyncItems:
    """What an asynchronous function yields, encoded."""

    def __init__(self, items: AsyncIterator[Any], encoder: AnswerEncoder) -> None:
        self._items = items
        self._encoder = encoder
        self._turn = asyncio.Lock()

    async def pull(self, hand: Hand, count: int) -> bool:
        """Hand over up to *count* items; returns whether there are no more. Raises RequestRefused, CallFailed."""
        async with self._turn:
            for _ in range(count):
                try:
                    content = self._encoder.encode(await anext(self._items))
                except StopAsyncIteration:
                    return True
                except (Exception, SystemExit) as error:
                    raise _failed(error) from error
                hand(content)
        return False

    async def close(self) -> None:
        """Close the generator."""
        async with self._turn:
            close = getattr(self._items, "aclose", None)
            if close is not None:
                await close()


def _failed(error: BaseException) -> Exception:
    if isinstance(error, Refused):
        detail = " ".join(filter(None, (error.what, error.why, error.do)))
        return RequestRefused(Problem(kind="refused", detail=detail))
    return CallFailed()
