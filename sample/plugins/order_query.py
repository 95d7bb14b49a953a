"""Why an order hasn't shipped, or where it is: asked of the sample shop's order service."""

import re
from typing import Any

from kotaemon_node.plugins import BasePlugin, IntentHook

_HAN = re.compile(r"[\u4e00-\u9fff]")
_NUMBER = re.compile(r"(?<![\w.])\d{4}(?![\w.])")
_WAITING = ("waiting", "packed")
_NO_USER = {
    "en": "I don't know whose orders to look up: please sign in first.",
    "zh": "我不知道要查询谁的订单，请先登录。",
}
_NONE = {"en": "I found no order of yours.", "zh": "没有找到您的订单。"}
_NO_ORDER = {"en": "I found no order {id} of yours.", "zh": "没有找到您的订单 {id}。"}
_TOLD = {
    "waiting": {
        "en": "Order {id} ({items}) has not been shipped yet: {reason}.",
        "zh": "订单 {id}（{items}）还没有发货：{reason}。",
    },
    "shipped": {
        "en": "Order {id} ({items}) was shipped; its tracking number is {tracking}.",
        "zh": "订单 {id}（{items}）已经发货，物流单号是 {tracking}。",
    },
    "delivered": {
        "en": "Order {id} ({items}) was delivered.",
        "zh": "订单 {id}（{items}）已经送达。",
    },
    "cancelled": {
        "en": "Order {id} ({items}) was cancelled.",
        "zh": "订单 {id}（{items}）已经取消。",
    },
}


class OrderQuery(BasePlugin):
    """Answers questions about a customer's own orders."""

    name = "order_query"
    description = "Looks up the customer's orders: status, articles, and why one hasn't shipped."

    @IntentHook(
        intent="query_order",
        priority=10,
        examples=[
            "why hasn't my order shipped",
            "where is my order",
            "what is the status of my order",
            "when will my order be sent",
            "my parcel has not arrived yet",
            "我的订单为什么还没发货",
            "我的订单到哪里了",
            "查一下我的订单状态",
            "我的东西什么时候发货",
            "我的包裹怎么还没到",
        ],
    )
    def query(self, user_input: str, user_id: str | None, slots: dict[str, Any]) -> dict[str, Any]:
        """Tell of the order that is meant; of those that wait where none is named."""
        language = "zh" if _HAN.search(user_input) else "en"
        if not user_id:
            return {"error": _NO_USER[language]}
        orders = self._orders(user_id)
        number = _NUMBER.search(user_input)
        if number:
            found = [order for order in orders if order["id"] == number[0]]
            missing = _NO_ORDER[language].format(id=number[0])
        else:
            found, missing = _meant(orders, user_input, slots), _NONE[language]
        if not found:
            return {"result": missing}
        ids = [order["id"] for order in found]
        return {
            "result": "\n".join(_told(order, language) for order in found),
            "details": found,
            "slots": {"order_id": ids[0] if len(ids) == 1 else ids},
        }

    def run(self, user_id: str) -> list[dict[str, Any]]:
        """Return all orders of the customer, newest first."""
        return self._orders(user_id) if user_id else []

    def _orders(self, user_id: str) -> list[dict[str, Any]]:
        reply = self.http_client.get(f"{self.config['url']}/orders", params={"user": user_id})
        reply.raise_for_status()
        orders: list[dict[str, Any]] = reply.json()["orders"]
        return orders


def _meant(orders: list[dict[str, Any]], text: str, slots: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the order that was talked about; else those that wait; else the newest."""
    about = re.search(r"\borders?\b|parcel|订单|包裹|东西", text, re.IGNORECASE)
    known = [order for order in orders if order["id"] == str(slots.get("order_id"))]
    if known and not about:
        return known
    return [order for order in orders if order["status"] in _WAITING] or orders[:1]


def _told(order: dict[str, Any], language: str) -> str:
    status = "waiting" if order["status"] in _WAITING else order["status"]
    items = [f"{item['quantity']} × {item['name'][language]}" for item in order["items"]]
    return _TOLD[status][language].format(
        id=order["id"],
        items=("、" if language == "zh" else ", ").join(items),
        reason=order["reason"].get(language, ""),
        tracking=order.get("tracking", "-"),
    )
