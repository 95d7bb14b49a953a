"""The story that the cluster is for: an order is explained, and cancelled once, from any pod."""

import json
import os
import signal
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cluster import Cluster

STORIES = {
    "en": {
        "user": "demo",
        "asked": "Why hasn't my order shipped?",
        "told": "Order 1003 (1 × Nordic desk lamp, 2 × stoneware mug) has not been shipped yet: "
        "the Nordic desk lamp is out of stock",
        "cancel": "then cancel it",
        "proposed": "Cancel order 1003 (1 × Nordic desk lamp, 2 × stoneware mug; 118.00 USD)",
        "yes": "yes",
        "done": "Order 1003 is cancelled. 118.00 USD will be refunded",
        "order": "1003",
    },
    "zh": {
        "user": "wei",
        "asked": "我的订单为什么还没发货？",
        "told": "订单 3002（1 × 极光电热水壶）还没有发货：订单在 14:00 之后支付",
        "cancel": "那就取消吧",
        "proposed": "取消订单 3002（1 × 极光电热水壶；64.90 USD）",
        "yes": "是",
        "done": "订单 3002 已取消。64.90 USD",
        "order": "3002",
    },
}


def session_of(base: str, user: str) -> str:
    made = requests.post(f"{base}/v1/sessions", json={"user_id": user}, timeout=60)
    assert made.status_code == 201, made.text
    return str(made.json()["session_id"])


def said(base: str, session: str, message: str) -> dict[str, Any]:
    reply = requests.post(
        f"{base}/v1/sessions/{session}/turns", json={"message": message}, timeout=90
    )
    assert reply.status_code == 200, reply.text
    turn: dict[str, Any] = reply.json()
    return turn


def orders_made(cluster: Cluster) -> dict[str, Any]:
    """Return what the shop keeps: its orders by id, and its cancellations by key."""
    kept = json.loads((cluster.folder.path / "orders" / "orders.json").read_text("utf-8"))
    return {**kept, "orders": {order["id"]: order for order in kept["orders"]}}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_order_is_explained_with_the_policy_and_cancelled_from_other_pods(
    cluster: Cluster, language: str
) -> None:
    story = STORIES[language]
    session = session_of(cluster.url, story["user"])
    pods = [cluster.pod_url(f"worker-{number}") for number in range(3)]
    # Given an answer that has both, what the shop knows and the policy, cited
    told = said(pods[0], session, story["asked"])
    assert told["answer"].startswith(story["told"])
    assert "[1]" in told["answer"]
    assert told["sources"]
    # When another pod is asked to cancel it, then it names the exact action and does nothing
    proposed = said(pods[1], session, story["cancel"])["answer"]
    assert story["proposed"] in proposed
    assert said(pods[1], session_of(cluster.url, "mei"), story["yes"])["answer"] != story["done"]
    # And a yes on a third pod carries it out, once
    assert said(pods[2], session, story["yes"])["answer"].startswith(story["done"])
    said(pods[0], session, story["yes"])
    shop = requests.get(f"{cluster.pod_url('shop')}/orders/{story['order']}", timeout=60).json()
    assert shop["status"] == "cancelled"
    view = requests.get(f"{cluster.url}/v1/sessions/{session}", timeout=60).json()
    assert (view["user_id"], view["slots"]["order_id"]) == (story["user"], story["order"])


@pytest.mark.long  # a cluster of its own, of which a pod is killed
def test_a_pod_killed_during_the_cancellation_leaves_one_cancellation_and_a_true_answer(
    tmp_path: Path,
) -> None:
    with Cluster(tmp_path / "data", workers=2, plugins="sample") as cluster:
        session = f"story-{uuid.uuid4().hex[:8]}"
        assert "1003" in said(cluster.url, session, "Why hasn't my order shipped?")["answer"]
        assert "Cancel order 1003" in said(cluster.url, session, "then cancel it")["answer"]
        # Given a shop that does not answer, and a call that was begun
        shop = cluster.pid("shop")
        os.kill(shop, signal.SIGSTOP)
        turn = f"{cluster.url}/v1/sessions/{session}/turns/yes"
        with requests.post(
            turn.removesuffix("/yes"),
            json={"message": "yes", "turn_id": "yes"},
            headers={"Accept": "text/event-stream"},
            stream=True,
            timeout=90,
        ) as stream:
            assert any(b'"started"' in line for line in stream.iter_lines())
            owner = requests.get(turn, timeout=60).json()["owner"].partition(".")[0]
            # When its pod is killed, and the shop answers again
            os.kill(cluster.pid(owner), signal.SIGKILL)
        os.kill(shop, signal.SIGCONT)

        def ended() -> bool:
            return bool(requests.get(turn, timeout=60).json()["state"] == "done")

        cluster.wait_until(ended, what="another pod ends the turn")
        # Then it has told the truth, and the order was cancelled once
        told = requests.get(turn, timeout=60).json()
        assert told["answer"].startswith("Order 1003 is cancelled.")
        assert told["attempts"] == 2
        kept = orders_made(cluster)
        assert kept["orders"]["1003"]["status"] == "cancelled"
        assert len(kept["cancellations"]) == 1
