"""The contract of ``ports.plugin_registry.PluginRegistry`` on real stores."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from kotaemon_node.adapters.redis import RedisPlugins, RedisStore, keys
from kotaemon_node.domain import acting_limits as bounds
from kotaemon_node.domain.errors import Invalid, Overloaded
from kotaemon_node.domain.plugin_releases import PluginRow
from kotaemon_node.ports.plugin_registry import Desired
from tests.fakes.plugin_rollout import release

ROW = PluginRow("orders", release("a", {"名": "值"}), release("b"), rollout_percent=10.0)


@pytest.fixture
def registry(redis_store: RedisStore) -> RedisPlugins:
    return RedisPlugins(redis_store)


def test_nothing_is_wanted_at_first(registry: RedisPlugins) -> None:
    assert registry.read("default") == Desired()
    assert registry.revision("default") == 0


def test_a_row_is_kept_as_it_was_wanted_and_goes(registry: RedisPlugins) -> None:
    row, revision = registry.change("default", "orders", lambda _: ROW)

    assert row == ROW
    assert registry.read("default") == Desired(revision, {"orders": ROW})
    assert registry.read("other") == Desired()

    gone, later = registry.change("default", "orders", lambda _: None)
    assert gone is None
    assert later > revision
    assert registry.read("default") == Desired(later, {})


def test_only_a_change_raises_the_revision(registry: RedisPlugins) -> None:
    _, first = registry.change("default", "orders", lambda _: ROW)
    _, same = registry.change("default", "orders", lambda row: row)
    _, second = registry.change("default", "orders", lambda _: replace(ROW, enabled=False))

    assert first == same == registry.revision("default") - (second - first)
    assert second > first


def test_a_change_that_raises_changes_nothing(registry: RedisPlugins) -> None:
    def refuse(row: PluginRow | None) -> PluginRow | None:
        raise Invalid("no")

    _, revision = registry.change("default", "orders", lambda _: ROW)
    with pytest.raises(Invalid):
        registry.change("default", "orders", refuse)

    assert registry.read("default") == Desired(revision, {"orders": ROW})


def test_changes_at_once_are_all_kept(registry: RedisPlugins) -> None:
    registry.change("default", "orders", lambda _: ROW)

    def raised(row: PluginRow | None) -> PluginRow | None:
        assert row is not None
        return replace(row, reloads=row.reloads + 1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: registry.change("default", "orders", raised), range(12)))

    assert registry.read("default").rows["orders"].reloads == 12


def test_the_revision_rises_also_after_a_store_that_forgot_all(
    registry: RedisPlugins, redis_store: RedisStore
) -> None:
    _, before = registry.change("default", "orders", lambda _: ROW)
    redis_store.client.delete(keys.plugins("default"))
    while _now_ms(redis_store) <= before:
        """The revision of a store that knows none is its time, in milliseconds."""

    _, after = registry.change("default", "orders", lambda _: ROW)

    assert after > before


def _now_ms(store: RedisStore) -> int:
    seconds, microseconds = store.client.eval(
        "return redis.call('TIME')", 1, keys.plugins("default")
    )
    return int(seconds) * 1000 + int(microseconds) // 1000


def test_there_are_only_so_many(registry: RedisPlugins) -> None:
    for number in range(bounds.PLUGINS_MAX):
        registry.change("default", f"p{number}", lambda _: ROW)

    with pytest.raises(Overloaded):
        registry.change("default", "one-more", lambda _: ROW)

    registry.change("default", "p0", lambda _: replace(ROW, enabled=False))
    assert len(registry.read("default").rows) == bounds.PLUGINS_MAX


def test_a_row_that_cannot_be_read_is_replaced_and_hides_no_other(
    registry: RedisPlugins, redis_store: RedisStore
) -> None:
    registry.change("default", "orders", lambda _: ROW)
    redis_store.client.hset(keys.plugins("default"), "broken", b"{")

    assert registry.read("default").rows == {"orders": ROW}

    registry.change("default", "broken", lambda row: ROW if row is None else row)
    assert registry.read("default").rows.keys() == {"orders", "broken"}
