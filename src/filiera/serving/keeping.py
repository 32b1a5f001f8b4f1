"""What a service promises of its log: whether a reply waits for the disk, and what is done while that takes nothing."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from filiera.core.prediction_rules import PredictionRules
from filiera.ports import PredictionLog
from filiera.serving.problem import Problem, RequestRefused

_LONGEST_S = 5.0
"""A reply does not wait longer for the disk."""

NOT_LOGGED = Problem(
    kind="not-logged", detail="The log of the service takes nothing now; send it again.", headers={"Retry-After": "1"}
)


class Trouble(NamedTuple):
    """What a mount is hindered by now."""

    text: str
    is_blocking: bool  #: requests are refused for it


class Keeping:
    """Holds one mount to the rules of its project. Requests ask it from one event loop."""

    def __init__(self, log: PredictionLog, rules: PredictionRules | None = None) -> None:
        """Let answers that *log* is given follow *rules*, or the defaults."""
        self.log = log
        rules = rules or PredictionRules()
        self._waits = rules.durability == "before-reply"
        self._refuses = rules.when_full == "refuse"
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None  #: the wait that what is appended now is in

    def trouble(self) -> Trouble | None:
        """Return what hinders logging now, if anything does."""
        text = self.log.trouble()
        return Trouble(f"predictions are not logged: {text}", self._refuses) if text else None

    def admit(self) -> int:
        """Return what ``kept`` is to be given when the answer is logged. Raises RequestRefused while nothing can be."""
        if not self._refuses:
            return 0
        if self.log.trouble():
            raise RequestRefused(NOT_LOGGED)
        return self.log.dropped()

    async def kept(self, before: int) -> None:
        """Come back when an answer may be given that was logged after ``admit`` returned *before*.

        Raises:
            RequestRefused: It could not be logged, and so is not to be given.
        """
        if self._waits and not self.log.trouble():
            if self._next is None or self._next.done():
                self._next = asyncio.ensure_future(self._wait(self._running))
            done, _ = await asyncio.wait([self._next], timeout=_LONGEST_S)
            if not done and self._refuses:
                raise RequestRefused(NOT_LOGGED)
        if self._refuses and self.log.dropped() > before:
            raise RequestRefused(NOT_LOGGED)

    async def _wait(self, before: asyncio.Task[None] | None) -> None:
        """Wait for the disk once for all who came while it was waited for before."""
        if before is not None and not before.done():
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        await asyncio.to_thread(self.log.flush)
