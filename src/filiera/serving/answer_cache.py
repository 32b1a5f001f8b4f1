"""Answers that are kept for a while, so that who asks the same again is told without asking the model."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Generic, TypeVar

from filiera.core.value import dataclass

if TYPE_CHECKING:
    from filiera.ports import Clock

T = TypeVar("T")
MOST_BYTES = 64 * 1024 * 1024
_ENTRY_BYTES = 256
"""About what the cache itself needs for an answer."""
_NAME = "filiera"
COUNTS: Mapping[str, str] = {
    "filiera_cache_hits_total": "hits",
    "filiera_cache_misses_total": "misses",
}
"""Metrics by what is counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found(Generic[T]):
    """An answer, and where it is from."""

    value: T
    source: str  #: ``hit``; ``collapsed``: made for somebody who asked the same at the time; or ``miss``
    age_s: float = 0.0
    left_s: float = 0.0  #: how long it is kept

    def headers(self) -> Mapping[str, str]:
        """Return what tells the caller, as RFC 9211 (Cache-Status) and RFC 9111 (Age) spell it."""
        if self.source == "hit":
            return {"Cache-Status": f"{_NAME}; hit; ttl={int(self.left_s)}", "Age": str(int(self.age_s))}
        return {"Cache-Status": f"{_NAME}; fwd=miss; {'collapsed' if self.source == 'collapsed' else 'stored'}"}


REFUSED: Mapping[str, str] = {"Cache-Status": f"{_NAME}; fwd=request"}
"""Tells the caller that the model was asked since the request wanted so."""


class AnswerCache(Generic[T]):
    """Keeps values by digests of what was asked, the latest used of them, bounded in bytes. For one event loop.

    Of several who ask the same at once one has it made, and the others wait for that; when it fails, each tries itself.
    """

    def __init__(
        self,
        keep_s: float,
        *,
        counts: Counter[str] | None = None,
        most_bytes: int = MOST_BYTES,
        clock: Clock = time.monotonic,
    ) -> None:
        """Keep values for *keep_s*.

        Args:
            keep_s: Seconds.
            counts: Gets ``hits`` and ``misses``.
            most_bytes: What all values and their digests may take together.
            clock: Monotonic seconds.
        """
        self.counts = counts if counts is not None else Counter()
        self.size_bytes = 0  #: what is kept now
        self._keep_s, self._most_bytes, self._clock = keep_s, most_bytes, clock
        self._kept: OrderedDict[bytes, tuple[T, int, float]] = OrderedDict()  # each with its size, and since when
        self._coming: dict[bytes, asyncio.Future[tuple[T] | None]] = {}

    def find(self, key: bytes) -> Found[T] | None:
        """Return what is kept for *key*, if it is."""
        entry = self._kept.get(key)
        if entry is None:
            return None
        value, _, since_s = entry
        age_s = self._clock() - since_s
        if age_s >= self._keep_s:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        self.counts["hits"] += 1
        return Found(value=value, source="hit", age_s=age_s, left_s=self._keep_s - age_s)

    async def made(
        self, key: bytes, make: Callable[[], Awaitable[T]], size: Callable[[T], int], *, timeout_s: float = math.inf
    ) -> Found[T]:
        """Return what *make* gives, or gives somebody else who asks the same, and keep it.

        Args:
            key: What is asked.
            make: Gives the answer; what it raises is raised, and nothing is kept.
            size: Returns how many bytes an answer takes.
            timeout_s: How long to wait for what somebody else has made.

        Raises:
            TimeoutError: That took longer.
        """
        coming = self._coming.get(key)
        if coming is not None:
            async with asyncio.timeout(timeout_s if math.isfinite(timeout_s) else None):
                made = await asyncio.shield(coming)
            if made is not None:
                self.counts["hits"] += 1
                return Found(value=made[0], source="collapsed")
            self.counts["misses"] += 1
            return Found(value=await make(), source="miss")
        self.counts["misses"] += 1
        self._coming[key] = coming = asyncio.get_running_loop().create_future()
        made = None
        try:
            made = (await make(),)
            self._keep(key, made[0], size(made[0]))
        finally:
            del self._coming[key]
            coming.set_result(made)
        return Found(value=made[0], source="miss")

    def _keep(self, key: bytes, value: T, value_bytes: int) -> None:
        size = value_bytes + len(key) + _ENTRY_BYTES
        if size > self._most_bytes:
            return
        if key in self._kept:
            self._drop(key)
        self._kept[key] = value, size, self._clock()
        self.size_bytes += size
        while self.size_bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        self.size_bytes -= self._kept.pop(key)[1]


def key_of(*parts: bytes) -> bytes:
    """Return a digest of *parts*, in their order; where one ends and the next begins counts.

    >>> key_of(b"ab", b"c") == key_of(b"a", b"bc")
    False
    """
    made = blake2b(digest_size=32)
    for part in parts:
        made.update(len(part).to_bytes(8, "big"))
        made.update(part)
    return made.digest()


def wants_fresh(headers: Mapping[str, str]) -> bool:
    """Tell whether a request's ``Cache-Control`` keeps it from being answered with what was kept.

    >>> wants_fresh({"cache-control": "max-age=60, No-Cache"}), wants_fresh({})
    (True, False)
    """
    given = headers.get("cache-control")
    if given is None:
        return False
    return any(each.strip().lower() in ("no-cache", "no-store", "max-age=0") for each in given.split(","))
