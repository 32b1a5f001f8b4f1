"""What people see of a service while it runs, besides its answers: counts, an access log, traces."""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Callable

from filiera.serving.access_log import AccessLine, AccessLog
from filiera.serving.http import Headers, Request, Response, StreamResponse
from filiera.serving.metrics import NO_LABEL, Label, Samples
from filiera.serving.shared_counts import Counts
from filiera.serving.tracing import Tracing, tracing_of

_ID_HEADER = "x-request-id"
_ID = re.compile(r"[A-Za-z0-9._:/+=@~-]{1,128}")
_LONGEST = 256
_UNSEEN = ("/health/", "/v2/health/", "/metrics")
"""Paths that machines look at all day: they have no trace."""


class Watch:
    """Where what is noted of requests goes."""

    def __init__(
        self,
        *,
        shared: Counts | None = None,
        access_log: AccessLog | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """Keep what is given.

        Args:
            shared: Knows what other processes that answer for the same service have counted.
            access_log: Gets a line for each request.
            tracing: Makes a span of each request.
        """
        self.shared = shared
        self.keeps_trails = access_log is not None or tracing is not None
        self._access_log = access_log
        self._tracing = tracing
        self._drawn, self._numbers = secrets.token_hex(8), itertools.count()

    def begin(self, request: Request, known: Callable[[str], str]) -> Headers:
        """Begin to note what becomes of a request, in its trail.

        Args:
            request: Its id is the one that it has, if that is short and harmless, else a fresh one.
            known: Returns the route that a path leads to, or "".

        Returns:
            The header for its answer that tells the id.
        """
        trail, named = request.trail, request.headers.get(_ID_HEADER)
        if named is not None and _ID.fullmatch(named):
            trail.request_id = named
        else:
            trail.request_id = f"{self._drawn}-{next(self._numbers)}"
        if self._tracing is not None and not request.path.startswith(_UNSEEN):
            trail.span = self._tracing.begin(request, known(request.path))
        return ((b"x-request-id", trail.request_id.encode()),)

    def end(self, request: Request, response: Response | StreamResponse, label: Label | None, *, took_s: float) -> None:
        """Take note of a request that was answered, by what is counted as *label*, if it is."""
        trail, (kind, name) = request.trail, label or NO_LABEL
        if trail.span is not None:
            found = {kind: name, "version": trail.version, "rows": response.rows, "request.id": trail.request_id}
            about = {f"filiera.{key}": value for key, value in found.items() if value}
            trail.span.end(status=response.status, problem=trail.problem, about=about)
        if self._access_log is not None:
            self._access_log.add(
                AccessLine(
                    at=time.time() - took_s,
                    method=request.method,
                    path=request.path if len(request.path) <= _LONGEST else request.path[:_LONGEST],
                    status=response.status,
                    bytes=0 if request.method == "HEAD" else response.sent_bytes,
                    ms=took_s * 1000,
                    model=name if kind == "model" else "",
                    function=name if kind == "function" else "",
                    version=trail.version,
                    rows=response.rows,
                    problem=trail.problem,
                    request_id=trail.request_id,
                    trace_id=trail.span.trace_id if trail.span is not None else "",
                )
            )

    def samples(self) -> Samples:
        """Return what is measured of the watching itself."""
        return {} if self._access_log is None else {"filiera_access_log_dropped_total": self._access_log.dropped}

    def close(self) -> None:
        """Write what still waits."""
        if self._access_log is not None:
            self._access_log.close()


def watch_of(name: str, *, access_log: str, tell: Callable[[str], None], shared: Counts | None = None) -> Watch:
    """Return how a service is watched, as its options and the environment say.

    Args:
        name: Of the service, for traces.
        access_log: A file, "-" for standard output, "" for none.
        tell: Takes a line when traces are wanted and cannot be had.
        shared: As ``Watch`` takes it.

    Raises:
        UsageError: The file cannot be written, or the traces not be sent as the variables say.
    """
    tracing = tracing_of(name, tell=tell)
    return Watch(shared=shared, access_log=AccessLog(access_log) if access_log else None, tracing=tracing)
