"""Fixtures of the contract tests: one real Redis for all, emptied before each test."""

from collections.abc import Iterator

import pytest

from kotaemon_node.adapters.redis import RedisStore, connect
from tests.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def redis_store(redis_server: RedisServer) -> Iterator[RedisStore]:
    redis_server.wipe()
    store = connect(redis_server.url)
    yield store
    store.client.close()
