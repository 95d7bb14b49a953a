"""The story of an order on a whole cluster behind HAProxy, whose pods are killed in their calls."""

import threading
from collections.abc import Iterator

import pytest
import requests

from kotaemon_node.chaos.reader import Reading, TurnReader
from tests.cluster import Cluster
from tests.sample_shop import Shop, served_shop
from tests.turn_cluster import Reader, new_id, turn_at

pytestmark = pytest.mark.long


class Counter:
    """The shop's door: notes each request that changes something, and may hold one."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.held = ""
        self.reached, self.go = threading.Event(), threading.Event()

    def hold(self, method: str) -> None:
        """Hold the next request of this method, once."""
        self.held, self.reached, self.go = method, threading.Event(), threading.Event()

    def __call__(self, method: str, path: str) -> None:
        self.asked.append(f"{method} {path}")
        if method == self.held:
            self.held = ""
            self.reached.set()
            assert self.go.wait(120)


@pytest.fixture(scope="module")
def door() -> Counter:
    return Counter()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, door: Counter) -> Iterator[Shop]:
    with served_shop(tmp_path_factory.mktemp("shop"), before=door) as shop:
        yield shop


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Iterator[Cluster]:
    data = tmp_path_factory.mktemp("acting") / "data"
    environment = {"PLUGINS_DIR": str(shop.plugins)}
    with Cluster(data, workers=3, environment=environment) as running:
        running.wait_until(lambda: _converged(running), what="every pod has the shop's plugins")
        yield running


def _converged(cluster: Cluster) -> bool:
    rows = requests.get(f"{cluster.url}/v1/plugins", timeout=30).json()["plugins"]
    ready = {row["name"] for row in rows if row["converged"] and len(row["pods"]) == 3}
    return ready >= {"order_cancel", "order_query"}


class Talk:
    """One session of a user of the shop."""

    def __init__(self, cluster: Cluster, user: str) -> None:
        self.cluster = cluster
        made = requests.post(f"{cluster.url}/v1/sessions", json={"user_id": user}, timeout=30)
        assert made.status_code == 201, made.text
        self.session_id = made.json()["session_id"]

    def asks(self, message: str) -> Reading:
        return self.reader(message).read()

    def reader(self, message: str) -> TurnReader:
        return TurnReader(
            self.cluster.url, session_id=self.session_id, turn_id=new_id("t"), message=message
        )

    def killed_in_the_call(self, message: str, door: Counter, method: str) -> Reading:
        """Send a message, kill the pod that answers inside its call, and read on."""
        self.cluster.wait_ready()
        door.hold(method)
        with Reader(self.reader(message)) as client:
            assert door.reached.wait(60)
            first = str(turn_at(self.cluster.url, client.reading)["owner"])
            self.cluster.kill(first.partition(".")[0])
            done = client.finish()
        door.go.set()
        turn = turn_at(self.cluster.url, done)
        assert turn["attempts"] == 2
        assert turn["owner"] != first
        assert done.text == turn["answer"]
        return done


STORY = {
    "en": (
        "demo",
        ["Why hasn't my order shipped?"],
        "then cancel it",
        "yes",
        "1003",
        "Cancel order 1003 (1 × Nordic desk lamp, 2 × stoneware mug;",
        "Order 1003 is cancelled.",
    ),
    "zh": (
        "mei",
        ["我的订单为什么还没发货？", "取消我的订单"],
        "第一个",
        "好的",
        "2001",
        "取消订单 2001（",
        "订单 2001 已取消。",
    ),
}


@pytest.mark.parametrize("language", STORY)
def test_an_order_is_explained_and_cancelled_once_though_pods_die(
    cluster: Cluster, shop: Shop, door: Counter, language: str
) -> None:
    user, before, cancel, yes, order, proposed, done = STORY[language]
    talk = Talk(cluster, user)
    first = talk.asks(before[0])
    assert order in first.text
    assert "[1]" in first.text, first.text
    assert first.frames("source")
    assert [frame["state"] for frame in first.frames("tool_call")] == ["started", "done"]
    for message in before[1:]:
        assert order in talk.asks(message).text

    asked = talk.killed_in_the_call(cancel, door, "GET")
    assert proposed in asked.text
    assert shop.order(order)["status"] != "cancelled"

    ended = talk.killed_in_the_call(yes, door, "POST")
    assert ended.text.startswith(done)
    assert shop.order(order)["status"] == "cancelled"
    # Both pods asked for the cancellation under one key, and it happened once.
    assert [it for it in door.asked if it.startswith("POST")].count(
        f"POST /orders/{order}/cancel"
    ) == 2
    shown = requests.get(f"{cluster.url}/v1/sessions/{talk.session_id}", timeout=30).json()
    assert shown["slots"]["order_id"] == order
    assert len(shown["turns"]) == len(before) + 2
