"""A service as ``filiera.toml`` declares it."""

from __future__ import annotations

from filiera.core.broker import BrokerAddress
from filiera.core.digest import digest
from filiera.core.value import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerLimits:
    """How many worker processes a service has."""

    least: int = 0  #: so many are always there; with 0 it sleeps when nobody needs it
    most: int = 1
    in_flight: int = 8  #: with more requests at once than this for each worker, another one is started
    idle_s: float = 300.0  #: a worker that was not needed for so long ends


@dataclass(frozen=True, kw_only=True, slots=True)
class Triggers:
    """What puts messages into the service's queue, besides people and programs."""

    cron: str = ""  #: five fields, or six with seconds first; "": none
    timezone: str = "UTC"  #: in which *cron* is meant
    every_s: float = 0.0  #: 0: none
    files: str = ""  #: pattern of files, relative to the project; each new or changed one is a message; "": none
    messages: BrokerAddress | None = None  #: a broker's queue, stream or topic that they are fetched from


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A model or a function that answers over HTTP, and handles the messages of its queue."""

    name: str
    model: str = ""  #: NAME@VERSION or NAME@ALIAS; or
    function: str = ""  #: module:name
    method: str = ""  #: of a class, which triggers and messages call that name none; "": the first one
    host: str = "127.0.0.1"
    port: int = 0  #: 0: a free one
    workers: WorkerLimits = WorkerLimits()
    triggers: Triggers = Triggers()
    attempts: int = 5  #: so often a message is tried
    timeout_s: float = 300.0  #: so long one attempt may take
    cache_s: float = 0.0  #: so long answers of a model are kept for who asks the same; 0: not at all
    access_log: str = ""  #: file, relative to the project, that has a line for each request; "-": what it prints

    @property
    def target(self) -> str:
        """Return what it serves, in words."""
        return f"model {self.model}" if self.model else f"function {self.function}"

    @property
    def address_digest(self) -> str:
        """Return what is the same as long as it listens at the same address."""
        return digest("service-address/1", self.host.encode(), str(self.port).encode())
