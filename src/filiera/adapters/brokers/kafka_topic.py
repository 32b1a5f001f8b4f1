"""Messages of a topic of Kafka, for a group of consumers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from filiera.adapters.brokers.access import Access, access
from filiera.core.broker import BrokerAddress
from filiera.core.message import Incoming
from filiera.errors import ProjectError

_SESSION_MS = 10_000
"""A member that was killed is known to be gone after so long: then its partitions are given to others."""
_AHEAD_KIB = 16_384
_QUIET = 0
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class KafkaTopic:
    """A MessageSource. The topic must be there; a group that is new begins with its oldest message."""

    def __init__(self, address: BrokerAddress, group: str, member: str) -> None:
        """Connect to nothing yet.

        Args:
            address: ``kafka://[user:password@]host[:port][,…]/topic[?mechanism=…]``; ``kafkas`` encrypts.
            group: Among whose members the partitions are shared.
            member: Is shown by the broker.

        Raises:
            ProjectError: The address cannot be used, or the library is missing.
        """
        try:
            import confluent_kafka
        except ImportError as error:
            do = "pip install 'filiera[kafka]'"
            raise ProjectError("Messages of Kafka need the package confluent-kafka.", do=do) from error
        self._kafka, self._topic = confluent_kafka, address.name
        self._access = access(address, port=9092, tls_port=9093, options=("mechanism",))
        if address.mechanism and (address.mechanism not in _MECHANISMS or not address.user):
            what = f"{address.shown} has the mechanism {address.mechanism}"
            raise ProjectError(f"{what}, without a user or not one of: {', '.join(_MECHANISMS)}.")
        self._settings = {
            **_safety(self._access),
            "bootstrap.servers": ",".join(
                f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self._access.hosts
            ),
            "group.id": group,
            "client.id": member,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "session.timeout.ms": _SESSION_MS,
            "queued.max.messages.kbytes": _AHEAD_KIB,
            "log_level": _QUIET,  # what matters is told as an error
            "error_cb": self._went_wrong,
        }
        self._consumer: Any = None
        self._wrong: Any = None
        self._next: dict[int, int] = {}  # by partition the offset behind what was received

    def receive(self, most: int, wait_s: float) -> Sequence[Incoming]:
        """Return up to *most* messages in their order: those that are there, else the first to come within *wait_s*."""
        try:
            if self._consumer is None:
                self._consumer = self._kafka.Consumer(self._settings)
                self._consumer.subscribe([self._topic])
            first = self._consumer.poll(wait_s)
            found = [] if first is None else [first, *self._consumer.consume(most - 1, 0)] if most > 1 else [first]
        except (self._kafka.KafkaException, RuntimeError) as error:
            raise self._access.error(error) from error
        wrong = next((one.error() for one in found if one.error()), self._wrong)
        if wrong is not None:
            raise self._access.error(wrong.str(), self._advice(wrong))
        for one in found:
            self._next[one.partition()] = one.offset() + 1
        return [Incoming(body=one.value() or b"", position=f"{one.partition()}/{one.offset()}") for one in found]

    def confirm(self) -> None:
        """Say that all that was received is kept elsewhere: it is not handed out again."""
        offsets = [self._kafka.TopicPartition(self._topic, one, offset) for one, offset in self._next.items()]
        try:
            if offsets:
                for done in self._consumer.commit(offsets=offsets, asynchronous=False):
                    if done.error is not None:
                        raise self._access.error(done.error.str())
        except (self._kafka.KafkaException, RuntimeError) as error:
            raise self._access.error(error) from error
        self._next = {}

    def close(self) -> None:
        """Disconnect; what is not confirmed is for others."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def _went_wrong(self, error: Any) -> None:
        """Note what the library cannot mend by itself; it is called by ``poll``."""
        grave = {self._kafka.KafkaError._ALL_BROKERS_DOWN, self._kafka.KafkaError._AUTHENTICATION}
        if error.fatal() or error.code() in grave:
            self._wrong = error

    def _advice(self, error: Any) -> str:
        is_missing = error.code() == self._kafka.KafkaError.UNKNOWN_TOPIC_OR_PART
        return "Create the topic, or let who sends to it do so." if is_missing else ""


def _safety(found: Access) -> dict[str, str]:
    """Return how the connection is secured, in the words of the library."""
    protocol = ("SASL_" if found.user else "") + ("SSL" if found.is_encrypted else "PLAINTEXT")
    settings = {"security.protocol": protocol}
    if found.user:
        settings |= {
            "sasl.mechanism": found.address.mechanism or "PLAIN",
            "sasl.username": found.user,
            "sasl.password": found.password,
        }
    return settings | ({"ssl.ca.location": found.address.ca} if found.address.ca else {})
