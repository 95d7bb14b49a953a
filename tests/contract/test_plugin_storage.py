"""``ports.plugin_storage``: in memory and in Redis it keeps the same, and no more than it may."""

from collections.abc import Iterator

import pytest

from kotaemon_node.adapters.redis import RedisPluginStorage, connect
from kotaemon_node.adapters.sandbox.memory_storage import MemoryPluginStorage
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.ports.plugin_storage import PluginName, PluginStorage, PluginStorageFull
from tests.redis_server import RedisServer

ORDERS = PluginName("acme", "orders")


@pytest.fixture(params=["memory", "redis"])
def storage(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[PluginStorage]:
    if request.param == "memory":
        yield MemoryPluginStorage(clock=SystemClock())
        return
    redis_server.wipe()
    store = connect(redis_server.url)
    yield RedisPluginStorage(store)
    store.client.close()


def test_what_is_kept_is_there_until_it_is_deleted(storage: PluginStorage) -> None:
    storage.set(ORDERS, "last", '{"n": "Grüße"}', ttl_s=60)

    assert storage.get(ORDERS, "last") == '{"n": "Grüße"}'
    storage.set(ORDERS, "last", "2", ttl_s=60)
    assert storage.get(ORDERS, "last") == "2"
    storage.delete(ORDERS, "last")
    storage.delete(ORDERS, "last")
    assert storage.get(ORDERS, "last") is None


@pytest.mark.parametrize("other", [PluginName("acme", "order"), PluginName("acm", "orders")])
def test_nobody_sees_what_another_keeps(storage: PluginStorage, other: PluginName) -> None:
    storage.set(ORDERS, "last", "1", ttl_s=60)

    assert storage.get(other, "last") is None
    storage.delete(other, "last")
    assert storage.get(ORDERS, "last") == "1"


def test_what_lived_its_time_is_gone_and_makes_room(
    storage: PluginStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PLUGIN_VALUES_MAX", 2)
    storage.set(ORDERS, "short", "1", ttl_s=0.05)
    storage.set(ORDERS, "long", "1", ttl_s=60)
    SystemClock().sleep(0.1)

    assert storage.get(ORDERS, "short") is None
    storage.set(ORDERS, "another", "1", ttl_s=60)
    assert storage.get(ORDERS, "long") == "1"


def test_there_are_so_many_keys_and_no_more(
    storage: PluginStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PLUGIN_VALUES_MAX", 2)
    storage.set(ORDERS, "a", "1", ttl_s=60)
    storage.set(ORDERS, "b", "1", ttl_s=60)

    with pytest.raises(PluginStorageFull, match="2 keys"):
        storage.set(ORDERS, "c", "1", ttl_s=60)
    storage.set(ORDERS, "a", "2", ttl_s=60)
    storage.delete(ORDERS, "b")
    storage.set(ORDERS, "c", "1", ttl_s=60)
    assert storage.get(ORDERS, "c") == "1"
