"""One thing that a service serves: its routes, its part of the OpenAPI document, its start and its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import Any, Protocol

from filiera.core.value import dataclass
from filiera.serving.http import Request, Response, StreamResponse
from filiera.serving.keeping import Trouble

Handler = Callable[[Request], Awaitable[Response | StreamResponse]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """What answers one path with one method."""

    method: str  #: GET, which answers HEAD too, or another
    handler: Handler  #: may raise RequestRefused; anything else it raises is the service's own failure
    counts: bool = False  #: its requests are counted in the metrics and need a service that is ready
    needs_ready: bool = False  #: so do those that are not counted
    counted_as: str = ""  #: the name in the metrics; "" for that of the mount
    needs_token: bool = True  #: False: answered without the token of the service


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiPart:
    """What a mount adds to the OpenAPI document."""

    paths: Mapping[str, Any]
    schemas: Mapping[str, Any] = field(default_factory=dict)


class Mount(Protocol):
    """A model, a function or a graph behind an address."""

    kind: str  #: ``models`` or ``functions``: ``GET /v1/{kind}`` lists it there
    name: str

    def routes(self) -> Mapping[str, Route]:
        """Return what it answers, by path; asked once, before ``start``."""

    def listed(self) -> Mapping[str, Any]:
        """Return its line in the list of its kind: at least ``name`` and ``version``, as of now."""

    def api(self) -> ApiPart:
        """Return its part of the OpenAPI document, as of now."""

    def start(self) -> None:
        """Load and warm up: after this it answers. Raises FilieraError."""

    async def stop(self) -> None:
        """Let go of all it holds; no request is under way any more."""

    def trouble(self) -> Trouble | None:
        """Return what hinders it now; a service in trouble that blocks is not ready."""

    def gauges(self) -> Mapping[str, float]:
        """Return what it measures of itself now, by a name of ``metrics.GAUGES``; summed over mounts."""
