"""What the adapters of brokers share: credentials filled in, hosts, encryption, and words of errors without secrets."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from pathlib import Path

from filiera.adapters.credentials import filled_in
from filiera.core.broker import BrokerAddress
from filiera.core.value import dataclass
from filiera.errors import ProjectError, SourceError

_ENCRYPTED = ("rediss", "amqps", "kafkas")
TIMEOUT_S = 10.0
"""So long a broker may take to answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """An address with its references filled in. Not to be shown, logged or stored."""

    address: BrokerAddress
    hosts: tuple[tuple[str, int], ...]
    user: str
    password: str
    is_encrypted: bool

    def __repr__(self) -> str:
        return f"Access({self.address.shown})"

    def tls(self) -> ssl.SSLContext:
        """Return how an encrypted connection is checked. Raises ProjectError: the file of certificates is none."""
        try:
            return ssl.create_default_context(cafile=self.address.ca or None)
        except OSError as error:
            raise ProjectError(
                f"The certificates in {self.address.ca} cannot be read.", why=str(error.strerror or error)
            ) from error

    def error(self, said: object, do: str = "") -> SourceError:
        """Return an error with what a library has *said*, in which no secret is left."""
        text = " ".join(str(said).split()) or type(said).__name__
        for secret in filter(None, (self.password, self.user)):
            text = text.replace(secret, "***")
        return SourceError(f"{self.address.shown} does not hand out messages.", why=f"{text.rstrip('.')}.", do=do)


def access(address: BrokerAddress, *, port: int, tls_port: int, options: Collection[str] = ()) -> Access:
    """Return an address with its references filled in.

    Args:
        address: Its scheme says whether the connection is encrypted.
        port: Of hosts that come without one.
        tls_port: The same, where the connection is encrypted.
        options: Which of ``mechanism`` and ``space`` this broker knows.

    Raises:
        ProjectError: A reference stands for nothing, a port is none, or the broker does not know an option.
    """
    is_encrypted = address.scheme in _ENCRYPTED
    for name in ("mechanism", "space"):
        if getattr(address, name) and name not in options:
            what = "a name before that of the topic" if name == "space" else f"the option {name!r}"
            raise ProjectError(f"{address.shown} has {what}, which means nothing there.", do="Remove it.")
    if address.ca and not is_encrypted:
        raise ProjectError(
            f"{address.shown} names certificates, and its connection is not encrypted.",
            do=f"Write {address.scheme}s://…",
        )
    if address.ca and not Path(address.ca).is_file():
        raise ProjectError(f"The certificates of {address.shown} are not there: {address.ca}.")
    return Access(
        address=address,
        hosts=tuple(
            _host(one, address, tls_port if is_encrypted else port) for one in filled_in(address.hosts).split(",")
        ),
        user=filled_in(address.user),
        password=filled_in(address.password),
        is_encrypted=is_encrypted,
    )


def _host(text: str, address: BrokerAddress, usual: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):  # an address of IP 6 has colons, and stands in brackets
        host, port = text, str(usual)
    if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ProjectError(f"{address.shown} has no host, or a port that is none.", do="Write HOST or HOST:PORT.")
    return host.strip("[]"), int(port)
