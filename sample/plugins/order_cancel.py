"""Cancels an order at the sample shop's order service, once, and only behind a yes."""

import re
from typing import Any

from kotaemon_node.plugins import BasePlugin, IntentHook, Proposal

_HAN = re.compile(r"[\u4e00-\u9fff]")
_NUMBER = re.compile(r"(?<![\w.])\d{4}(?![\w.])")
_OPEN = ("waiting", "packed")
_LEFT = ("shipped", "delivered")
_SUMMARY = {
    "en": "Cancel order {id} ({items}; {total} {currency})",
    "zh": "取消订单 {id}（{items}；{total} {currency}）",
}
_DONE = {
    "en": "Order {id} is cancelled. {total} {currency} will be refunded the way you paid.",
    "zh": "订单 {id} 已取消。{total} {currency} 将按原付款方式退还。",
}
_TEXTS = {
    "no_user": {
        "en": "I don't know whose order to cancel: please sign in first.",
        "zh": "我不知道要取消谁的订单，请先登录。",
    },
    "no_order": {"en": "There is no order {id} of yours.", "zh": "您没有订单 {id}。"},
    "none_open": {
        "en": "you have no order that can still be cancelled.",
        "zh": "您没有可以取消的订单。",
    },
    "left": {
        "en": "order {id} has left the warehouse and can't be cancelled; "
        "you can return it after delivery.",
        "zh": "订单 {id} 已经发货，不能取消；收货后可以办理退货。",
    },
    "cancelled": {"en": "order {id} was cancelled before.", "zh": "订单 {id} 之前已经取消。"},
    "which": {"en": "Which order shall I cancel?", "zh": "要取消哪一个订单？"},
}


class OrderCancel(BasePlugin):
    """Proposes the cancellation of one order, and carries it out."""

    name = "order_cancel"
    description = "Cancels one of the customer's orders that has not been shipped yet."

    @IntentHook(
        intent="cancel_order",
        priority=10,
        examples=[
            "cancel my order",
            "then cancel it",
            "please cancel it",
            "I don't want the order any more",
            "can you cancel order 1003",
            "取消我的订单",
            "那就取消吧",
            "帮我取消它",
            "我不想要这个订单了",
            "可以取消订单 1003 吗",
        ],
    )
    def propose(
        self, user_input: str, user_id: str | None, slots: dict[str, Any]
    ) -> Proposal | dict[str, Any]:
        """Name the exact cancellation; nothing is done before the yes."""
        language = "zh" if _HAN.search(user_input) else "en"
        if not user_id:
            return {"error": _TEXTS["no_user"][language]}
        orders = self._orders(user_id)
        number = _NUMBER.search(user_input)
        wanted = number[0] if number else slots.get("order_id")
        open_ids = [order["id"] for order in orders if order["status"] in _OPEN]
        if not isinstance(wanted, str):
            if not open_ids:
                return {"error": _TEXTS["none_open"][language]}
            if len(open_ids) > 1:
                text = _TEXTS["which"][language]
                return {"ask": {"slot": "order_id", "text": text, "choices": open_ids}}
            wanted = open_ids[0]
        found = next((order for order in orders if order["id"] == wanted), None)
        refusal = _refusal(found, wanted, language)
        if found is None or refusal:
            return {"error": refusal}
        return Proposal(
            arguments={"order_id": wanted, "language": language},
            summary=_SUMMARY[language].format(**_words(found, language)),
        )

    def run(
        self, order_id: str, user_id: str, idempotency_key: str, language: str = "en"
    ) -> dict[str, Any]:
        """Cancel the order: the shop does it once under one key."""
        reply = self.http_client.post(
            f"{self.config['url']}/orders/{order_id}/cancel",
            json={"user": user_id},
            headers={"Idempotency-Key": idempotency_key},
        )
        told = reply.json()
        if 400 <= reply.status_code < 500:
            return {"error": told["error"]["message"][language]}
        reply.raise_for_status()
        return self._done(told, language)

    def lookup(self, key: str, order_id: str, language: str = "en") -> dict[str, Any]:
        """Tell whether the shop cancelled the order under ``key``."""
        reply = self.http_client.get(f"{self.config['url']}/cancellations/{key}")
        if reply.status_code == 404:
            return {"took_effect": False}
        reply.raise_for_status()
        return {"took_effect": True, "result": self._done(reply.json(), language)}

    def _done(self, told: dict[str, Any], language: str) -> dict[str, Any]:
        refund = told["refund"]
        text = _DONE[language].format(
            id=told["order_id"], total=refund["amount"], currency=refund["currency"]
        )
        return {"result": text, "details": [told], "slots": {"order_id": told["order_id"]}}

    def _orders(self, user_id: str) -> list[dict[str, Any]]:
        reply = self.http_client.get(f"{self.config['url']}/orders", params={"user": user_id})
        reply.raise_for_status()
        orders: list[dict[str, Any]] = reply.json()["orders"]
        return orders


def _refusal(order: dict[str, Any] | None, order_id: str, language: str) -> str:
    """Return why an order cannot be cancelled, "" where it can."""
    if order is None:
        return _TEXTS["no_order"][language].format(id=order_id)
    if order["status"] in _LEFT:
        return _TEXTS["left"][language].format(id=order_id)
    return _TEXTS["cancelled"][language].format(id=order_id) if order["status"] not in _OPEN else ""


def _words(order: dict[str, Any], language: str) -> dict[str, str]:
    items = [f"{item['quantity']} × {item['name'][language]}" for item in order["items"]]
    return {
        "id": order["id"],
        "items": ("、" if language == "zh" else ", ").join(items),
        "total": order["total"],
        "currency": order["currency"],
    }
