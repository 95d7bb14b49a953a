"""What lies in a real Redis is in the schema of its keys, with its type."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
import requests

from kotaemon_node.adapters.redis import connect
from scripts.redis_keys_reference import row_of
from tests.cluster import Cluster
from tests.redis_server import RedisServer
from tests.sealed_story import Story
from tests.sealing_parts import cluster_of_keys


@pytest.fixture
def server() -> Iterator[RedisServer]:
    started = RedisServer(options=("--appendonly", "no"))
    started.start()
    yield started
    started.remove()


def unknown(client: Any) -> list[str]:
    """Return the keys that no row of the schema describes."""
    kinds = {key: client.type(key) for key in client.scan_iter(count=1_000)}
    # What goes between the two commands is of no kind any more.
    named = {key.decode(): kind.decode() for key, kind in kinds.items() if kind != b"none"}
    assert len(named) > 10
    return sorted(f"{key} ({kind})" for key, kind in named.items() if row_of(key, kind) is None)


@pytest.mark.parametrize("sealed", [False, True])
def test_all_that_adapters_write_is_described(server: RedisServer, *, sealed: bool) -> None:
    story = Story(connect(server.url, cipher=cluster_of_keys().cipher() if sealed else None))
    story.tell()

    assert unknown(story.store.client) == []


def test_all_that_a_cluster_writes_is_described(cluster: Cluster) -> None:
    answered = requests.post(
        f"{cluster.url}/v1/sessions/keys-described/turns",
        json={"message": "How long is the warranty of lamps?"},
        timeout=30,
    )
    assert answered.status_code == 200, answered.text

    with redis.Redis.from_url(cluster.redis_url) as client:
        assert unknown(client) == []


def test_a_key_that_nobody_described_is_found() -> None:
    for name in ("kn:new", "kn:shop:{s1}:scratch", "kn:{counts:shop}:2026-05-01:more"):
        assert row_of(name, "hash") is None
    assert row_of("kn:shop:{s1}:meta", "hash") is not None
    assert row_of("kn:shop:{s1}:meta", "string") is None  # described, and of another type
