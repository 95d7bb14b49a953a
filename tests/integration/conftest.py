"""A real Redis for tests that run parts of pods in this process."""

from collections.abc import Iterator

import pytest

from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """Run one for a whole module."""
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    """Return it, empty."""
    redis_server.wipe()
    return redis_server
