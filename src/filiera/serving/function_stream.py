"""The body of an answer that a function yields item by item."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import NamedTuple

from filiera.serving.call_failures import problem_of
from filiera.serving.framing import Framing
from filiera.serving.http import StreamFailed
from filiera.serving.problem import RequestRefused
from filiera.serving.served_function import CallFailed, Kept, ServedFunction


class Answering(NamedTuple):
    """A call whose answer is a stream."""

    function: ServedFunction
    identity: str
    body: bytes
    limit_s: float  #: how long an item is waited for


async def pieces_of(call: Answering, framing: Framing, items: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield the body of the answer to a call, piece by piece, and log it in the end. Raises StreamFailed."""
    kept, ended = Kept(), "gone"
    try:
        async for item in items:
            kept.add(item)
            yield framing.item(item)
        ended = "done"
        yield framing.done({**call.function.head(call.identity), "count": kept.count})
    except (CallFailed, TimeoutError, RequestRefused) as error:
        ended = "failed"
        yield framing.problem(problem_of(call.function.operation, error, call.limit_s).as_json())
        raise StreamFailed from error
    finally:
        call.function.streamed(call.identity, call.body, kept, ended)


async def with_first(first: bytes | None, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield *first*, and behind it the *rest*; nothing when there is no first."""
    if first is not None:
        yield first
        async for item in rest:
            yield item
