"""The sample plugins against the sample shop: in this process, and behind the walls of a pod."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.plugins.testing import PluginTest
from kotaemon_node.ports.tools import ToolFailed
from tests.sample_shop import SAMPLE, Shop, served_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with served_shop(tmp_path) as shop:
        yield shop


def plugin(shop: Shop, name: str, **options: Any) -> PluginTest:
    return PluginTest(shop.plugins / f"{name}.py", **{"user_id": "demo", **options})


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            "Why hasn't my order shipped?",
            "Order 1003 (1 × Nordic desk lamp, 2 × stoneware mug) has not been shipped yet: the "
            "Nordic desk lamp is out of stock and is expected in the warehouse in 3 working days.",
        ),
        (
            "我的订单为什么还没发货？",
            "订单 1003（1 × 北欧台灯、2 × 炻瓷马克杯）还没有发货：北欧台灯暂时缺货，"
            "预计 3 个工作日后到达仓库。",
        ),
        (
            "where is order 1002",
            "Order 1002 (4 × warm LED bulb) was shipped; its tracking number is NL-88412.",
        ),
        ("order 2001?", "I found no order 2001 of yours."),
    ],
)
def test_an_order_is_explained_in_the_language_of_the_question(
    shop: Shop, asked: str, told: str
) -> None:
    with plugin(shop, "order_query") as query:
        assert query.hook(asked)["result"] == told


def test_what_an_answer_is_about_is_named_for_the_next_message(shop: Shop) -> None:
    with plugin(shop, "order_query") as query:
        assert query.hook("why hasn't my order shipped?")["slots"] == {"order_id": "1003"}
        query.user_id = "mei"
        assert query.hook("why hasn't my order shipped?")["slots"] == {"order_id": ["2001", "2002"]}
        query.slots = {"order_id": "2003"}
        assert query.hook("and where is it now?")["result"].endswith("was cancelled.")
        query.user_id = None
        assert "sign in" in query.hook("where is my order?")["error"]
        assert query.run() == []


def test_a_cancellation_is_proposed_then_carried_out_once_and_found_again(shop: Shop) -> None:
    with plugin(shop, "order_cancel", slots={"order_id": "1003"}) as cancel:
        proposal = cancel.hook("then cancel it")["propose"]
        assert proposal == {
            "arguments": {"order_id": "1003", "language": "en"},
            "summary": "Cancel order 1003 (1 × Nordic desk lamp, 2 × stoneware mug; 118.00 USD)",
        }
        assert shop.order("1003")["status"] == "waiting"
        assert cancel.lookup("k:1", **proposal["arguments"]) == {"took_effect": False}
        done = cancel.run("k:1", **proposal["arguments"])
        assert done["result"].startswith("Order 1003 is cancelled. 118.00 USD will be refunded")
        assert cancel.run("k:1", **proposal["arguments"]) == done
        assert cancel.lookup("k:1", **proposal["arguments"])["result"] == done
        assert shop.order("1003")["status"] == "cancelled"
        again = cancel.run("k:2", order_id="1003", language="zh")
        assert again == {"error": "订单 1003 之前已经取消。"}


@pytest.mark.parametrize(
    ("user", "slots", "asked", "answer"),
    [
        ("demo", {}, "cancel my order", "1003"),
        ("demo", {"order_id": "1003"}, "可以取消订单 1002 吗", "已经发货"),
        ("mei", {}, "cancel it", ["2001", "2002"]),
        ("mei", {"order_id": ["2001", "2002"]}, "那就取消吧", ["2001", "2002"]),
        ("mei", {}, "cancel order 1003", "There is no order 1003 of yours"),
        (None, {}, "cancel it", "sign in"),
        ("nobody", {}, "cancel it", "no order that can still be cancelled"),
    ],
)
def test_what_is_cancelled_is_never_guessed(
    shop: Shop, user: str | None, slots: dict[str, Any], asked: str, answer: Any
) -> None:
    with plugin(shop, "order_cancel", user_id=user, slots=slots) as cancel:
        told = cancel.hook(asked)
    if isinstance(answer, list):
        assert sorted(told["ask"]["choices"]) == answer
    elif "propose" in told:
        assert told["propose"]["arguments"]["order_id"] == answer
    else:
        assert answer in told["error"]


def test_behind_the_walls_of_a_pod_they_do_the_same_and_reach_nothing_else(shop: Shop) -> None:
    with plugin(shop, "order_query", sandboxed=True) as query:
        assert "1003" in query.hook("why hasn't my order shipped?")["result"]
        assert [it["id"] for it in query.run()] == ["1003", "1002", "1001"]
    with plugin(shop, "order_cancel", sandboxed=True) as cancel:
        assert cancel.description.effects == "idempotent"
        assert (cancel.description.confirm, cancel.description.looks_up) == (True, True)
        arguments = cancel.hook("cancel order 1003")["propose"]["arguments"]
        assert "refunded" in cancel.run("k", **arguments)["result"]
        assert cancel.lookup("k", **arguments)["took_effect"]
    # Given a manifest that allows another port, then the shop is out of reach.
    manifest = shop.plugins / "order_query.yaml"
    manifest.write_text(
        manifest.read_text().replace("- {host", "- {host: '127.0.0.1:1', private: true}\n# {host")
    )
    with plugin(shop, "order_query", sandboxed=True) as query, pytest.raises(ToolFailed):
        query.hook("where is my order?")


class Pages(BaseHTTPRequestHandler):
    """A page, a redirect and a picture."""

    def do_GET(self) -> None:
        page = "<head>no</head><p>One &amp;</p><script>x</script><p>二</p>".encode()
        status, kind, body = {
            "/page": (200, "text/html; charset=utf-8", page),
            "/away": (302, "text/html", b""),
        }.get(self.path, (200, "image/png", b"\x89"))  # fmt: skip
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status == 302:
            self.send_header("Location", "http://elsewhere.example/")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_pages_are_read_as_text_from_declared_hosts_alone(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site = f"127.0.0.1:{server.server_port}"
    (tmp_path / "web_get.py").write_text((SAMPLE / "plugins" / "web_get.py").read_text())
    manifest = f"effects: read\nhosts: [{{host: '{site}', private: true}}]\n"
    (tmp_path / "web_get.yaml").write_text(manifest)
    try:
        with PluginTest(tmp_path / "web_get.py", sandboxed=True) as web:
            page = web.run(url=f"http://{site}/page")
            assert page == {
                "status": 200, "type": "text/html", "text": "One &\n二", "cut": False,
            }  # fmt: skip
            assert web.run(url=f"http://{site}/away")["location"] == "http://elsewhere.example/"
            assert web.run(url=f"http://{site}/x.png")["error"] == "it is no text"
            assert "cannot be read" in web.run(url="http://127.0.0.1:1/")["error"]
            assert "must begin" in web.run(url="file:///etc/passwd")["error"]
    finally:
        server.shutdown()
        server.server_close()
