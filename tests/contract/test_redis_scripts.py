"""Scripts on a server that has forgotten them, as one does that was started anew."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kotaemon_node.adapters.redis import RedisStore, connect
from tests.redis_server import RedisServer

KEYS = ["{s}:lease", "{s}:fences"]
ARGUMENTS = ["holder", 60_000]


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    store = connect(redis_server.url)
    yield store
    store.client.close()


def alone(store: RedisStore) -> Any:
    return store.run("lead", KEYS, ARGUMENTS)


def many(store: RedisStore) -> Any:
    return store.run_many("lead", [(KEYS, ARGUMENTS)])[0]


def before_reads(store: RedisStore) -> Any:
    return store.run_before("lead", KEYS, ARGUMENTS, lambda pipe: pipe.ping())


@pytest.mark.parametrize("way", [alone, many, before_reads])
def test_a_server_that_forgot_the_scripts_is_given_them_again(
    store: RedisStore, way: Callable[[RedisStore], Any]
) -> None:
    store.client.delete(*KEYS)
    first = way(store)
    store.client.delete(*KEYS)
    store.client.script_flush()

    assert way(store) == first
