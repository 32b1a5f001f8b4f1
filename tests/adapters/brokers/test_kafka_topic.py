"""A topic of what speaks Kafka hands out messages as a source of messages has to.

The cluster is the one that librdkafka has for tests, over TCP; ``FILIERA_TEST_KAFKA=host:port`` names a real one.
"""

from __future__ import annotations

from contextlib import closing
from secrets import token_hex

import pytest

from filiera.adapters.brokers.kafka_topic import KafkaTopic
from filiera.core.broker import BrokerAddress
from filiera.errors import ProjectError, SourceError
from filiera.testing.message_source import Connect, MessageSourceContract, Send
from tests.brokers import KafkaCluster
from tests.servers import free_port


@pytest.fixture
def name(kafka_cluster: KafkaCluster) -> str:
    """Return the name of a new topic, and of a group: members of one group wait for each other."""
    name = f"orders-{token_hex(4)}"
    kafka_cluster.create(name)
    return name


class TestKafkaTopic(MessageSourceContract):
    @pytest.fixture
    def connect(self, kafka_cluster: KafkaCluster, name: str, monkeypatch: pytest.MonkeyPatch) -> Connect:
        # What the cluster of librdkafka does with a member that has left: it waits for the end of its session.
        monkeypatch.setattr("filiera.adapters.brokers.kafka_topic._SESSION_MS", 6_000)
        return lambda: KafkaTopic(BrokerAddress.parse(kafka_cluster.url(name)), name, "here")

    @pytest.fixture
    def send(self, kafka_cluster: KafkaCluster, name: str) -> Send:
        return lambda bodies: kafka_cluster.send(name, bodies)

    @pytest.fixture
    def broken(self) -> KafkaTopic:
        return KafkaTopic(BrokerAddress.parse(f"kafka://127.0.0.1:{free_port()}/orders"), "g", "m")


def test_a_topic_that_is_missing_is_an_error(kafka_cluster: KafkaCluster) -> None:
    """It is not made: how many parts it has is for others to say."""
    source = KafkaTopic(BrokerAddress.parse(kafka_cluster.url("nowhere")), "g-nowhere", "m")
    with closing(source), pytest.raises(SourceError, match="does not hand out") as caught:
        for _ in range(100):
            source.receive(1, 0.2)
    assert "Create the topic" in caught.value.do


def test_what_cannot_be_an_address_is_refused_at_once() -> None:
    """A space before the topic, an unknown mechanism, one without a user."""
    for text, word in (
        ("kafka://one/x/a", "a name before that of the topic"),
        ("kafka://one/a?mechanism=GSSAPI", "not one of"),
        ("kafka://one/a?mechanism=PLAIN", "without a user"),
        ("kafka://one,two:x/a", "a port that is none"),
    ):
        with pytest.raises(ProjectError, match=word):
            KafkaTopic(BrokerAddress.parse(text), "g", "m")
