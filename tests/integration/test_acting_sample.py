"""The story of the sample shop: its real plugins, each in its process, and its order service."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kotaemon_node.adapters.sandbox.manifest_file import read_manifest
from kotaemon_node.adapters.sandbox.memory_storage import MemoryPluginStorage
from kotaemon_node.adapters.sandbox.start import start_plugin
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.ports.plugins import Plugin
from tests.acting_pods import ActingPod
from tests.acting_pods import Shop as NoShop
from tests.engine_pods import ANYBODY, key
from tests.fakes.plugins import FixedPlugins
from tests.redis_server import RedisServer
from tests.sample_shop import Shop, served_shop

STORY = {
    "en": (
        "Why hasn't my order shipped?",
        "then cancel it",
        "yes",
        "Order 1003 (1 × Nordic desk lamp, 2 × stoneware mug) has not been shipped yet",
        "Cancel order 1003 (1 × Nordic desk lamp, 2 × stoneware mug; ",
        "Order 1003 is cancelled.",
    ),
    "zh": (
        "我的订单为什么还没发货？",
        "那就取消吧",
        "好的，取消吧",
        "订单 1003（1 × 北欧台灯、2 × 炻瓷马克杯）还没有发货",
        "取消订单 1003（1 × 北欧台灯、2 × 炻瓷马克杯；",
        "订单 1003 已取消。",
    ),
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with served_shop(tmp_path) as shop:
        yield shop


@pytest.fixture
def plugins(shop: Shop) -> Iterator[FixedPlugins]:
    """Both plugins of the shop, as a pod starts them."""
    clock = SystemClock()
    with ExitStack() as stack:
        started: list[Plugin] = []
        for name in ("order_cancel", "order_query"):
            plugin = start_plugin(
                shop.plugins,
                read_manifest(name, (shop.plugins / f"{name}.yaml").read_text("utf-8")),
                tenant="default",
                storage=MemoryPluginStorage(clock=clock),
                clock=clock,
                tasks=ThreadTasks(),
            )
            stack.callback(plugin.retire)
            started.append(plugin)
        yield FixedPlugins(*started)


@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.long)])
def test_an_order_is_explained_and_cancelled_once(
    server: RedisServer, shop: Shop, plugins: FixedPlugins, language: str
) -> None:
    why, cancel, yes, explained, proposed, cancelled = STORY[language]
    one, two = (ActingPod(name, server, NoShop(), plugins=plugins) for name in ("one", "two"))
    one.sessions.create(key("t").session, ANYBODY, epoch="e1", fields={"user_id": "demo"})

    first = one.says(why, turn="t1")
    assert first.answer.startswith(explained)
    assert "[1]" in first.answer
    second = two.says(cancel, turn="t2")
    assert proposed in second.answer
    assert shop.order("1003")["status"] != "cancelled"
    third = one.says(yes, turn="t3")
    assert third.answer.startswith(cancelled)
    assert shop.order("1003")["status"] == "cancelled"
    again = two.says(cancel, turn="t4")
    assert "1003" in again.answer
    assert two.state().pending is None
