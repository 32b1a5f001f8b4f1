"""Real brokers for tests, on loopback, in folders of their own: Redis, RabbitMQ, and the cluster of librdkafka."""

from __future__ import annotations

import ctypes
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.servers import LIMIT_S, Program, answers, free_port, needs, running

PASSWORD = "s3cret/@:word"


class RedisServer:
    """A server with a password that writes each command to its disk before it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._program = Program(folder, "redis")

    def start(self) -> None:
        """Start it, with what it had before."""
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        words += ["--appendonly", "yes", "--appendfsync", "always", "--requirepass", PASSWORD]
        self._program.start(["redis-server", *words], self._is_up)

    def stop(self) -> None:
        """Kill it."""
        self._program.end()

    def url(self, name: str) -> str:
        """Return the address of a stream; the password is in the variable ``BROKER_PASSWORD``."""
        return "redis://:${BROKER_PASSWORD}@" + f"127.0.0.1:{self.port}/{name}"

    def client(self) -> Any:
        """Return a connection."""
        import redis

        return redis.Redis(port=self.port, password=PASSWORD)

    def send(self, name: str, bodies: Sequence[bytes]) -> None:
        """Add messages to a stream."""
        with self.client() as client:
            for body in bodies:
                client.xadd(name, {"body": body})

    def _is_up(self) -> bool:
        import redis

        with suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False


class RabbitServer:
    """A node of RabbitMQ, which lets its guest in from loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self._dist, self._epmd = folder, free_port(), free_port(), free_port()
        self._program, self._names = Program(folder, "rabbitmq"), Program(folder, "epmd")

    def start(self) -> None:
        """Start it, with what it had before."""
        # The daemon that knows the node's name: one that the node started would outlive it.
        self._names.start(["epmd", "-port", str(self._epmd), "-address", "127.0.0.1"], lambda: answers(self._epmd))
        ours = {name: str(self.folder / word) for name, word in _RABBIT_PLACES.items()}
        there = {"ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(self._epmd)}
        ports = {"RABBITMQ_NODE_PORT": str(self.port), "RABBITMQ_DIST_PORT": str(self._dist)}
        env = {**os.environ, **_RABBIT, **ours, **there, **ports, "HOME": str(self.folder)}
        self._program.start([_rabbit()], self._is_up, env=env)

    def stop(self) -> None:
        """Kill it, and what knows its name."""
        self._program.end()
        self._names.end()

    def url(self, name: str) -> str:
        """Return the address of a queue."""
        return f"amqp://127.0.0.1:{self.port}/{name}"

    def declare(self, name: str) -> None:
        """Make a durable queue."""
        with self.connection() as connection:
            connection.channel().queue_declare(name, durable=True)

    def connection(self) -> Any:
        """Return a connection."""
        import pika

        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port))

    def send(self, name: str, bodies: Sequence[bytes]) -> None:
        """Send messages that outlive the node, each with an id; come back when it has them."""
        import pika

        with self.connection() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for body in bodies:
                properties = pika.BasicProperties(delivery_mode=2, message_id=secrets.token_hex(8))
                channel.basic_publish("", name, body, properties)

    def _is_up(self) -> bool:
        import pika

        if answers(self.port):  # asked first: pika logs each call that nobody takes
            with suppress(pika.exceptions.AMQPError, OSError), self.connection():
                return True
        return False


_RABBIT_PLACES = {
    "RABBITMQ_LOG_BASE": "log",
    "RABBITMQ_MNESIA_BASE": "database",
    "RABBITMQ_ENABLED_PLUGINS_FILE": "plugins",
    "RABBITMQ_CONFIG_FILE": "settings",
    "RABBITMQ_PID_FILE": "pid",
}
_RABBIT = {
    "RABBITMQ_NODENAME": "filiera@localhost",
    "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
    # One scheduler that does not spin: tests share the machine.
    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
}


def _rabbit() -> str:
    """Return where the program is: the one of Debian's package that runs as whoever calls it, not as its own user."""
    found = sorted(Path("/usr/lib/rabbitmq/bin").glob("rabbitmq-server"))
    return str(found[0]) if found else "rabbitmq-server"


class KafkaCluster:
    """The cluster of one broker that librdkafka has for tests: it speaks Kafka over TCP, and keeps all in memory.

    With ``FILIERA_TEST_KAFKA=host:port`` tests use that server instead; then nothing can be stopped.
    """

    def __init__(self) -> None:
        import confluent_kafka

        given = os.environ.get("FILIERA_TEST_KAFKA", "")
        self._library: Any = None
        if not given:
            (file,) = (Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka*.so*")
            library = ctypes.CDLL(str(file))
            handle, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32
            library.rd_kafka_new.argtypes, library.rd_kafka_new.restype = (
                [number, handle, text, ctypes.c_size_t],
                handle,
            )
            library.rd_kafka_conf_new.restype = handle
            library.rd_kafka_conf_set.argtypes = [handle, text, text, text, ctypes.c_size_t]
            library.rd_kafka_mock_cluster_new.argtypes = [handle, number]
            library.rd_kafka_mock_cluster_new.restype = handle
            library.rd_kafka_mock_cluster_bootstraps.argtypes = [handle]
            library.rd_kafka_mock_cluster_bootstraps.restype = text
            library.rd_kafka_mock_topic_create.argtypes = [handle, text, number, number]
            library.rd_kafka_mock_group_initial_rebalance_delay_ms.argtypes = [handle, number]
            for name in ("rd_kafka_mock_broker_set_down", "rd_kafka_mock_broker_set_up"):
                getattr(library, name).argtypes = [handle, number]
            settings = library.rd_kafka_conf_new()
            library.rd_kafka_conf_set(settings, b"log_level", b"0", None, 0)
            self._cluster = library.rd_kafka_mock_cluster_new(library.rd_kafka_new(0, settings, None, 0), 1)
            library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 50)
            given = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
            self._library = library
        self.address = given

    def create(self, name: str) -> None:
        """Make a topic with one partition."""
        if self._library is not None:
            self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), 1, 1)
        else:
            from confluent_kafka.admin import AdminClient, NewTopic

            admin = AdminClient({"bootstrap.servers": self.address})
            admin.create_topics([NewTopic(name, 1, 1)])[name].result(LIMIT_S)

    def stop(self) -> None:
        """Break all connections, and refuse new ones."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, 1)

    def start(self) -> None:
        """Answer again, with what was there."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, 1)

    def url(self, name: str) -> str:
        """Return the address of a topic."""
        return f"kafka://{self.address}/{name}"

    def send(self, name: str, bodies: Sequence[bytes]) -> None:
        """Send messages; come back when they are there."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.address, "log_level": 0, "linger.ms": 0})
        for body in bodies:
            producer.produce(name, body)
        assert producer.flush(LIMIT_S) == 0


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Start Redis; tests that need it are skipped where there is none."""
    pytest.importorskip("redis")
    needs("redis-server", "redis-server")
    with running(RedisServer) as server:
        yield server


@pytest.fixture(scope="session")
def rabbit_server() -> Iterator[RabbitServer]:
    """Start RabbitMQ; tests that need it are skipped where there is none."""
    pytest.importorskip("pika")
    needs("rabbitmq-server", "rabbitmq-server")
    with running(RabbitServer) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_cluster() -> KafkaCluster:
    """Start the cluster of librdkafka."""
    pytest.importorskip("confluent_kafka")
    return KafkaCluster()
