"""A pod whose connections to the counts are all in use refuses; it lets nobody in uncounted."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from kotaemon_node.adapters.redis import RedisStore, connect
from kotaemon_node.adapters.redis.use import RedisUse
from kotaemon_node.api.app import create_app
from kotaemon_node.api.credential_guard import CredentialGuard
from kotaemon_node.api.use_desk import UseDesk
from kotaemon_node.domain import limits
from kotaemon_node.domain.quotas import QuotaTable
from tests.fakes.credentials import KeyedCluster, bearer
from tests.fakes.services import FakeCluster
from tests.redis_server import RedisServer

TABLE = QuotaTable(principal={"requests_per_minute": 5})


@pytest.fixture
def busy(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisStore]:
    """Return a store of which others have the only connection."""
    redis_server.wipe()
    monkeypatch.setattr(limits, "REDIS_POOL_WAIT_S", 0.05)
    store = connect(redis_server.url, pool_max=1)
    held = store.client.connection_pool.get_connection()
    yield store
    store.client.connection_pool.release(held)
    store.client.close()


def desk(cluster: FakeCluster, counts: RedisUse) -> UseDesk:
    metrics = cluster.services().metrics.use
    return UseDesk(counts, table=lambda: TABLE, clock=cluster.clock, metrics=metrics)


def told(client: FlaskClient, method: str, path: str, **options: Any) -> tuple[int, str]:
    answer = client.open(path, method=method, **options)
    assert answer.json is not None
    return answer.status_code, answer.json["error"]["code"]


def test_nobody_is_let_in_uncounted(busy: RedisStore) -> None:
    cluster = FakeCluster()
    services = replace(cluster.services(), use=desk(cluster, RedisUse(busy)))
    client = create_app(services).test_client()

    for _ in range(3):
        assert told(client, "GET", "/v1/sessions") == (429, "overloaded")
        assert told(client, "POST", "/chat", json={"message": "hello"}) == (429, "overloaded")
        assert told(client, "POST", "/chat", json={"message": 7}) == (429, "overloaded")
    assert not cluster.turns.submitted


def test_nobody_may_try_credentials_uncounted(busy: RedisStore) -> None:
    cluster = KeyedCluster()
    services = cluster.services()
    guard = CredentialGuard(
        RedisUse(busy), per_minute=3, clock=cluster.clock, metrics=services.metrics.use
    )
    client = create_app(replace(services, guard=guard)).test_client()

    for at in range(3):
        assert told(client, "GET", "/v1/me", headers=bearer(f"guess-{at}")) == (429, "overloaded")
