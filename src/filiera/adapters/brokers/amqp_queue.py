"""Messages of a queue of AMQP 0.9.1, such as RabbitMQ has."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from filiera.adapters.brokers.access import TIMEOUT_S, access
from filiera.core.broker import BrokerAddress
from filiera.core.message import Incoming
from filiera.errors import ProjectError, SourceError

_AHEAD = 100
"""The broker sends so many messages before they are confirmed."""
_HEARTBEAT_S = 60


class AmqpQueue:
    """A MessageSource. The queue must be there: whoever sends to it decides what kind it is."""

    def __init__(self, address: BrokerAddress, group: str, member: str) -> None:
        """Connect to nothing yet.

        Args:
            address: ``amqp://[user:password@]host[:port][,…]/[virtual host/]queue``; ``amqps`` encrypts.
            group: Unused: who consumes a queue shares its messages.
            member: Is shown by the broker.

        Raises:
            ProjectError: The address cannot be used, or the library is missing.
        """
        try:
            import pika
        except ImportError as error:
            raise ProjectError("Messages of AMQP need the package pika.", do="pip install 'filiera[amqp]'") from error
        # Its log has what its errors say, which are told with the address; who wants to see it sets up logging.
        logging.getLogger("pika").addHandler(logging.NullHandler())
        self._pika, self._member = pika, member
        self._errors = (pika.exceptions.AMQPError, OSError)
        self._access = access(address, port=5672, tls_port=5671, options=("space",))
        if address.group:
            raise ProjectError(f"{address.shown} has a group, which AMQP does not know.", do="Remove it.")
        self._connection: Any = None
        self._channel: Any = None
        self._come: deque[tuple[int, Incoming]] = deque()
        self._last = 0  # the number of the message received last
        self._is_cancelled = False

    def receive(self, most: int, wait_s: float) -> Sequence[Incoming]:
        """Return up to *most* messages in their order: those that are there, else the first to come within *wait_s*."""
        try:
            if self._channel is None:
                self._connect()
            self._connection.process_data_events(time_limit=0)
            if not self._come:
                self._connection.process_data_events(time_limit=wait_s)
        except self._errors as error:
            raise self._error(error) from error
        if self._is_cancelled:
            raise self._access.error("the queue was deleted, or moved")
        found = [self._come.popleft() for _ in range(min(most, len(self._come)))]
        self._last = found[-1][0] if found else self._last
        return [message for _, message in found]

    def confirm(self) -> None:
        """Say that all that was received is kept elsewhere: it is not handed out again."""
        try:
            if self._last:
                self._channel.basic_ack(self._last, multiple=True)
            self._last = 0
        except self._errors as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Disconnect; what is not confirmed is for others."""
        if self._connection is not None:
            with suppress(*self._errors):
                self._connection.close()

    def _connect(self) -> None:
        found, pika = self._access, self._pika
        tls = found.tls() if found.is_encrypted else None
        self._connection = pika.BlockingConnection(
            [
                pika.ConnectionParameters(
                    host=host,
                    port=port,
                    virtual_host=found.address.space or "/",
                    credentials=pika.PlainCredentials(found.user or "guest", found.password or "guest"),
                    ssl_options=pika.SSLOptions(tls, host) if tls else None,
                    heartbeat=_HEARTBEAT_S,
                    socket_timeout=TIMEOUT_S,
                    stack_timeout=TIMEOUT_S,
                    blocked_connection_timeout=TIMEOUT_S,
                    client_properties={"connection_name": self._member},
                )
                for host, port in found.hosts
            ]
        )
        channel = self._connection.channel()
        channel.basic_qos(prefetch_count=_AHEAD)
        channel.add_on_cancel_callback(self._cancelled)
        channel.basic_consume(found.address.name, self._arrived)
        self._channel = channel

    def _arrived(self, _: object, delivery: Any, properties: Any, body: bytes) -> None:
        self._come.append((delivery.delivery_tag, Incoming(body=body, position=properties.message_id or "")))

    def _cancelled(self, _: object) -> None:
        self._is_cancelled = True

    def _error(self, error: Exception) -> SourceError:
        """Return what is wrong: errors of connecting have their reason inside them."""
        inner: Any = error
        while nested := [one for one in (getattr(inner, "exception", None), *inner.args) if isinstance(one, Exception)]:
            inner = nested[0]
        if isinstance(error, self._pika.exceptions.ChannelClosedByBroker) and error.reply_code == 404:
            return self._access.error(error.reply_text, "Declare the queue, or let who sends to it do so.")
        return self._access.error(str(inner) or type(inner).__name__)
