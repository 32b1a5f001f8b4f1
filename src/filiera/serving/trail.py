"""What is noted of one request on its way, for its line in the access log and for its trace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from filiera.serving.tracing import RequestSpan

T = TypeVar("T")


class Trail:
    """Who answered a request, and how far that has come. Only the thread of the event loop touches it.

    Where nobody watches a service, all its requests share one, which keeps nothing that anybody reads.
    """

    __slots__ = ("problem", "request_id", "span", "version")

    def __init__(self) -> None:
        self.request_id = ""
        self.span: RequestSpan | None = None
        self.version: str | int = ""  #: of the model or function that answered
        self.problem = ""  #: the kind of the problem that it was refused with

    @property
    def trace_id(self) -> str:
        """Return the trace that the request belongs to, 32 hex digits, or ""."""
        return self.span.trace_id if self.span is not None else ""

    def mark(self, part: str, rows: int = 0) -> None:
        """Note that a *part* of the work is done: it began when the part before was, or with the request.

        Args:
            part: One of few words.
            rows: In how many rows it was done, those of other requests among them.
        """
        if self.span is not None:
            self.span.mark(part, rows)

    def within(self, job: Callable[[], T]) -> Callable[[], T]:
        """Return *job* as part of the request's trace, for another thread."""
        return job if self.span is None else self.span.within(job)

    def within_async(self, job: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """Return *job* as part of the request's trace, for another event loop."""
        return job if self.span is None else self.span.within_async(job)


UNWATCHED = Trail()
