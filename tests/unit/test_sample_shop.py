"""The order service of the sample shop: whose orders are shown, and one cancellation for a key."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

SAMPLE = Path(__file__).parents[2] / "sample"
NOW_S = 1_800_000_000.0


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The service's package, as it is found where it is started."""
    monkeypatch.syspath_prepend(str(SAMPLE))
    import shop.orders
    import shop.web

    yield shop
    for name in [name for name in sys.modules if name.split(".")[0] == "shop"]:
        del sys.modules[name]


def opened(shop: Any, folder: Path) -> FlaskClient:
    orders = shop.orders.Orders(
        folder / "orders.json", standard=SAMPLE / "shop" / "orders.json", now_s=lambda: NOW_S
    )
    client: FlaskClient = shop.web.create_app(orders).test_client()
    return client


@pytest.fixture
def client(shop: Any, tmp_path: Path) -> FlaskClient:
    return opened(shop, tmp_path)


def cancel(client: FlaskClient, order: str, key: str = "", user: str = "demo") -> tuple[int, Any]:
    headers = {"Idempotency-Key": key} if key else {}
    reply = client.post(f"/orders/{order}/cancel", json={"user": user}, headers=headers)
    return reply.status_code, reply.json


def test_a_user_sees_their_orders_newest_first_and_nobody_elses(client: FlaskClient) -> None:
    reply = client.get("/orders?user=demo").json
    assert [(order["id"], order["status"]) for order in reply["orders"]] == [
        ("1003", "waiting"),
        ("1002", "shipped"),
        ("1001", "delivered"),
    ]
    assert reply["orders"][0]["placed_at"] == NOW_S - 26 * 3600
    assert client.get("/orders/1003?user=demo").json["reason"]["zh"].startswith("北欧台灯")
    assert client.get("/orders/1003?user=mei").status_code == 404
    assert client.get("/orders?user=nobody").json == {"orders": []}
    assert client.get("/orders").status_code == 400


def test_the_same_key_cancels_once_also_after_a_restart(
    shop: Any, client: FlaskClient, tmp_path: Path
) -> None:
    first = cancel(client, "1003", "k:1")
    assert first == (
        200,
        {
            "order_id": "1003",
            "cancelled_at": NOW_S,
            "refund": {"amount": "118.00", "currency": "USD"},
        },
    )
    again = opened(shop, tmp_path)
    assert cancel(again, "1003", "k:1") == first
    assert again.get("/orders/1003").json["status"] == "cancelled"
    assert again.get("/cancellations/k:1").json == first[1]
    assert again.get("/cancellations/k:2").status_code == 404
    assert cancel(again, "1003", "k:2")[1]["error"]["code"] == "already_cancelled"
    assert cancel(again, "2001", "k:1", "mei")[1]["error"]["code"] == "other_order"


@pytest.mark.parametrize(
    ("order", "user", "status", "code"),
    [
        ("1002", "demo", 409, "left_warehouse"),
        ("1001", "demo", 409, "left_warehouse"),
        ("2003", "mei", 409, "already_cancelled"),
        ("1003", "mei", 404, "no_order"),
        ("9999", "demo", 404, "no_order"),
    ],
)
def test_what_is_against_a_rule_is_refused_in_both_languages_and_changes_nothing(
    client: FlaskClient, order: str, user: str, status: int, code: str
) -> None:
    before = client.get(f"/orders/{order}").json
    got, told = cancel(client, order, "k", user)
    assert (got, told["error"]["code"]) == (status, code)
    assert set(told["error"]["message"]) == {"en", "zh"}
    assert client.get(f"/orders/{order}").json == before
    assert client.get("/cancellations/k").status_code == 404


def test_keys_bodies_and_routes_are_bounded(shop: Any, client: FlaskClient, tmp_path: Path) -> None:
    assert cancel(client, "1003", "k" * 401)[0] == 400
    assert client.post("/orders/1003/cancel", data=b"x" * 20_000).status_code == 413
    assert client.get("/nowhere").status_code == 404
    shop.orders.KEYS_MAX = 1
    cancel(client, "1003", "old")
    cancel(client, "2001", "new", "mei")
    assert client.get("/cancellations/old").status_code == 404
    assert client.get("/cancellations/new").status_code == 200
