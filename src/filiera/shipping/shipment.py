"""What is shipped, in the words that all forms share."""

from __future__ import annotations

import re

from filiera.core.value import dataclass

PORT = 8080
"""Where a shipped service listens, or the first of them."""
PROJECT = "project"
"""The folder of the shipped project, in what is shipped."""
WHEELS = "wheels"
REQUIREMENTS = "requirements.txt"
TOKEN_VARIABLE = "FILIERA_TOKEN"  # noqa: S105 - the name of the variable, not a token
USER = 10001
"""Who a container runs as: a number, by which Kubernetes can tell that it is not root."""
DATA = "/data"
"""The folder of a container that it writes to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One process that answers: a container, or a unit."""

    name: str  #: of the service, or of the first thing that it serves
    served: tuple[str, ...]  #: as ``filiera serve`` takes it; of ``filiera up`` the names of services
    is_declared: bool  #: True: services of ``filiera.toml``, run by ``filiera up``
    ports: tuple[int, ...]

    def command(self, host: str) -> list[str]:
        """Return the words behind ``filiera`` that run it; of declared services ``filiera.toml`` says the host.

        >>> Process(name="m", served=("m@1",), is_declared=False, ports=(8080,)).command("0.0.0.0")
        ['serve', 'm@1', '--host', '0.0.0.0', '--port', '8080']
        """
        if self.is_declared:
            return ["up", *self.served]
        return ["serve", *self.served, "--host", host, "--port", str(self.ports[0])]

    @property
    def label(self) -> str:
        """Return the name as Kubernetes and compose take it: lower-case letters, digits and dashes, 63 at most.

        >>> Process(name="Flow_Classifier.v2", served=(), is_declared=True, ports=()).label
        'flow-classifier-v2'
        """
        return label_of(self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cron:
    """When a service is called by itself."""

    name: str  #: of the service
    path: str  #: where it is called
    schedule: str = ""  #: five or six fields; "" for every *every_s* seconds
    every_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipment:
    """What is shipped."""

    name: str
    about: tuple[str, ...]  #: versions and commit, for the first lines of files
    processes: tuple[Process, ...]  #: several only where each is a service of ``filiera.toml``
    python: str  #: such as "3.11"
    has_wheels: bool  #: some distributions come along as wheels
    is_offline: bool  #: all of them do
    models: tuple[str, ...]  #: names of models and graphs
    crons: tuple[Cron, ...] = ()

    @property
    def together(self) -> Process:
        """Return all of it as one process."""
        if len(self.processes) == 1:
            return self.processes[0]
        served = tuple(name for process in self.processes for name in process.served)
        ports = tuple(port for process in self.processes for port in process.ports)
        return Process(name=self.name, served=served, is_declared=True, ports=ports)


def label_of(name: str) -> str:
    """Return a name as Kubernetes takes it.

    >>> label_of("count_words"), label_of("9")
    ('count-words', 'service-9')
    """
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    found = found if found[:1].isalpha() else f"service-{found}".rstrip("-")
    return found[:63].rstrip("-")


def health_command(process: Process) -> list[str]:
    """Return what ends with 0 when a process is well, run beside it.

    A service that sleeps stays asleep: the supervisor is asked, not its port.
    """
    if process.is_declared:
        return ["filiera", "services", "--healthy"]
    url = f"http://127.0.0.1:{process.ports[0]}/health/ready"
    return ["python", "-c", f"import urllib.request as ask; ask.urlopen('{url}', timeout=5)"]
