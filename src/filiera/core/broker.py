"""The address of a broker's queue, stream or topic, as one line says it."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from filiera.core.value import dataclass
from filiera.errors import UsageError

_REFERENCE = re.compile(r"\$\{[^{}]*\}")
_HELD = re.compile("\ue000([0-9]+)\ue001")
_OPTIONS = ("group", "mechanism", "ca")
_EXAMPLES = "redis://host/STREAM, amqp://user:${PASSWORD}@host/QUEUE or kafka://host:9092/TOPIC"


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerAddress:
    """Where messages come from. References such as ``${NAME}`` are not filled in, so it can be shown and recorded."""

    scheme: str  #: "redis", "amqp", "kafka"; or "rediss", "amqps", "kafkas" for an encrypted connection
    hosts: str  #: HOST or HOST:PORT, several with commas between
    name: str  #: of the stream, queue or topic
    space: str = ""  #: what the name is in: the database of Redis, the virtual host of AMQP
    user: str = ""
    password: str = ""  #: a reference, or nothing
    group: str = ""  #: of consumers, among whom each message goes to one; "": that of the service
    mechanism: str = ""  #: of SASL, such as "SCRAM-SHA-256"
    ca: str = ""  #: file of the certificates that are trusted

    @classmethod
    def parse(cls, text: str) -> BrokerAddress:
        """Return the address that a line says.

        Args:
            text: ``SCHEME://[USER[:PASSWORD]@]HOST[:PORT][,…]/[SPACE/]NAME[?group=…]``. User, password and hosts
                may have references to the environment; a password must be one.

        Raises:
            UsageError: It is no such address, or has a password in it.

        >>> address = BrokerAddress.parse("amqp://app:${PASSWORD}@broker:5671/shop/orders?group=words")
        >>> address.hosts, address.space, address.name, address.password, address.group
        ('broker:5671', 'shop', 'orders', '${PASSWORD}', 'words')
        >>> BrokerAddress.parse("redis://localhost/0")
        Traceback (most recent call last):
            ...
        filiera.errors.UsageError: 'redis://localhost/0' names a database and no stream.
        Do:  Write redis://localhost/0/STREAM.
        """
        parts, back = _split(text)
        credentials, _, hosts = parts.netloc.rpartition("@")
        user, _, password = (back(part) for part in credentials.partition(":"))
        if password and not _REFERENCE.fullmatch(password):
            raise UsageError(
                f"The address of {parts.scheme or 'the broker'} has a password in it.",
                why="What is written down here is read by others.",
                do="Put it into the environment, and write ${NAME} in its place.",
            )
        *spaces, name = parts.path.removeprefix("/").split("/")
        if not parts.scheme or not hosts or not name or len(spaces) > 1 or parts.fragment:
            raise _refusal(text, "It needs a host, and the name of a stream, queue or topic.")
        if parts.scheme in ("redis", "rediss") and name.isdecimal() and not spaces:
            raise UsageError(f"{text!r} names a database and no stream.", do=f"Write {text}/STREAM.")
        return cls(
            scheme=parts.scheme,
            hosts=back(hosts),
            name=back(name),
            space=back(spaces[0]) if spaces else "",
            user=user,
            password=password,
            **_options(parts.query, text, back),
        )

    @property
    def shown(self) -> str:
        """Return it for people: without credentials and options.

        >>> BrokerAddress.parse("redis://:${SECRET}@localhost/orders?group=a").shown
        'redis://localhost/orders'
        """
        return "/".join([f"{self.scheme}:/", self.hosts, *([self.space] if self.space else []), self.name])


def _split(text: str) -> tuple[SplitResult, Callable[[str], str]]:
    """Return the parts of an address, in which marks stand for references, and what puts references back."""
    held: list[str] = []

    def hold(found: re.Match[str]) -> str:
        held.append(found[0])
        return f"\ue000{len(held) - 1}\ue001"

    try:
        parts = urlsplit(_REFERENCE.sub(hold, text))
    except ValueError as error:
        raise _refusal(text, f"{error}.") from error
    return parts, lambda part: _HELD.sub(lambda found: held[int(found[1])], unquote(part))


def _options(query: str, text: str, back: Callable[[str], str]) -> dict[str, str]:
    found = {name: back(value) for name, value in parse_qsl(query, keep_blank_values=True)}
    for name, value in found.items():
        if name not in _OPTIONS or not value:
            raise _refusal(
                text, f"{name!r} means nothing there: behind the '?' can be {', '.join(_OPTIONS)}, each with a value."
            )
    return found


def _refusal(text: str, why: str) -> UsageError:
    return UsageError(f"{text!r} is no address of messages.", why=why, do=f"Write it as {_EXAMPLES}.")
