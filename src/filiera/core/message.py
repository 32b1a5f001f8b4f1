"""A message: what waits for a service in a queue, and when it is tried again after a failure."""

from __future__ import annotations

from typing import Literal

from filiera.core.value import dataclass

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 300.0

Ending = Literal["failed", "untried", "cut off"]
"""What is known of how an attempt has ended. Cut off: nobody has said, and it may have killed its worker."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message that was handed out, under a lease: nobody else gets it before the lease ends."""

    id: str
    body: bytes  #: JSON, as the service takes it in a request
    method: str = ""  #: of a class, which it calls; "": the usual one
    origin: str  #: what put it: "put", "cron", "every", "files" or the address of a broker's queue
    put_at: float  #: seconds since the epoch
    attempts: int = 0  #: how often it has failed
    cut_offs: int = 1  #: how often in a row, this time included, it was handed out and nobody has said how that ended
    lease: str  #: proves that it was handed out to us

    @property
    def is_suspect(self) -> bool:
        """Tell whether it was cut off the last time: it may be what killed, and is brought alone."""
        return self.cut_offs > 1

    @property
    def attempt(self) -> int:
        """Return which attempt this is, from 1. One that was cut off counts if the message was alone."""
        return attempts_of(self.attempts, self.cut_offs, is_handled=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """A message as a broker hands it out."""

    body: bytes  #: JSON, as the service takes it in a request
    position: str = ""  #: names it at its broker, the same when it comes again; "": nothing does


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """How a queue stands."""

    waiting: int = 0  #: messages that nobody handles at the moment
    handled: int = 0  #: messages that were handed out
    dead: int = 0  #: messages that are not tried any more
    due_at: float | None = None  #: when a message can next be handed out; None: there is none


def attempts_of(attempts: int, cut_offs: int, *, is_handled: bool) -> int:
    """Return how many attempts of a message count: those that failed, and those that were cut off but the first.

    That one was beside others, of which each may have been what killed.

    >>> attempts_of(2, 0, is_handled=False), attempts_of(2, 1, is_handled=True), attempts_of(2, 1, is_handled=False)
    (2, 3, 2)
    >>> attempts_of(2, 2, is_handled=True), attempts_of(2, 3, is_handled=True)
    (3, 4)
    """
    return attempts + max(cut_offs - 1, int(is_handled))


def retry_delay_s(attempt: int, chance: float) -> float:
    """Return how long to wait after a failed *attempt*: twice as long each time, up to five minutes.

    Args:
        attempt: Which attempt has failed, from 1.
        chance: Drawn from 0 to 1. The delay is between half and all of what it would be, so that what failed together
            is not tried again together.

    >>> [retry_delay_s(attempt, 1.0) for attempt in (1, 2, 3, 99)]
    [1.0, 2.0, 4.0, 300.0]
    >>> retry_delay_s(3, 0.0)
    2.0
    """
    longest = min(FIRST_RETRY_S * 2.0 ** min(attempt - 1, 30), LONGEST_RETRY_S)
    return longest * (0.5 + 0.5 * chance)
