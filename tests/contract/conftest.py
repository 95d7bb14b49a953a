"""Fixtures of the contract tests: real stores of each kind, emptied before each test."""

from collections.abc import Iterator

import pytest

from kotaemon_node.adapters.redis import RedisStore, connect
from tests.artifact_stores import bucket, s3_endpoint, served_folder
from tests.kafka_broker import KafkaBroker
from tests.rabbitmq_server import RabbitmqServer
from tests.redis_server import RedisServer, Server
from tests.redis_sets import KINDS
from tests.sealing_parts import cluster_of_keys

__all__ = ["bucket", "s3_endpoint", "served_folder"]


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis, for tests of what only one does."""
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session", params=KINDS)
def store_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each kind of store in its turn, started once."""
    server = KINDS[request.param]()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["", pytest.param("other-seal", marks=pytest.mark.long)])
def redis_store(request: pytest.FixtureRequest, store_server: Server) -> Iterator[RedisStore]:
    """A store of each kind; every test holds where everything is sealed, and where nothing is.

    In the short suite one Redis is sealed and the sets are not; the long one has it the other way.
    """
    store_server.wipe()
    sealed = isinstance(store_server, RedisServer) != bool(request.param)
    store = connect(store_server.url, cipher=cluster_of_keys().cipher() if sealed else None)
    yield store
    store.client.close()


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[KafkaBroker]:
    """One Kafka broker for all tests of the bus; whoever stops it starts it again."""
    broker = KafkaBroker()
    try:
        broker.start()
        yield broker
    finally:
        broker.remove()


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitmqServer]:
    """One RabbitMQ for all tests of the bus; whoever stops it starts it again."""
    server = RabbitmqServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()
