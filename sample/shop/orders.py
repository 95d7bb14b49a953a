"""Orders and their cancellations: the rules, and the file in which they last.

Law 1: an order that left the warehouse is not cancelled.
Law 2: one key, one cancellation: the same key again gets the same answer and changes nothing.
Law 3: what was answered is in the file before it is answered.
"""

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

KEYS_MAX = 10_000
"""Cancellations by key that are kept; of more the oldest are forgotten."""
_LEFT = frozenset({"shipped", "delivered"})
_HOUR_S = 3_600

Json = dict[str, Any]


class Refused(Exception):
    """What is asked for is against a rule; ``status`` is that of the answer."""

    def __init__(self, status: int, code: str, message: Mapping[str, str]) -> None:
        super().__init__(message["en"])
        self.status = status
        self.code = code
        self.message = message


class Orders:
    """All orders of the shop. Thread safe."""

    def __init__(self, file: Path, *, standard: Path, now_s: Callable[[], float]) -> None:
        """Orders of ``file``; the first time those of ``standard``, placed hours before now."""
        self._file = file
        self._now_s = now_s
        self._lock = threading.Lock()
        if file.exists():
            kept = json.loads(file.read_text("utf-8"))
        else:
            kept = {"orders": _placed(json.loads(standard.read_text("utf-8")), now_s())}
        self._orders: dict[str, Json] = {order["id"]: order for order in kept["orders"]}
        self._by_key: dict[str, Json] = kept.get("cancellations", {})

    def of(self, user: str) -> list[Json]:
        """Return the orders of a user, newest first."""
        found = [order for order in self._orders.values() if order["user"] == user]
        return sorted(found, key=lambda order: (-order["placed_at"], order["id"]))

    def one(self, order_id: str, user: str | None) -> Json:
        """Return an order; ``user`` None sees all. Raises ``Refused``."""
        order = self._orders.get(order_id)
        if order is None or (user is not None and order["user"] != user):
            raise Refused(
                404,
                "no_order",
                {"en": f"There is no order {order_id}.", "zh": f"没有订单 {order_id}。"},
            )
        return order

    def cancel(self, order_id: str, user: str | None, *, key: str) -> Json:
        """Cancel an order and return the cancellation. Raises ``Refused``."""
        with self._lock:
            known = self._by_key.get(key) if key else None
            if known is not None:
                if known["order_id"] != order_id:
                    raise Refused(
                        422,
                        "other_order",
                        {
                            "en": "This key belongs to another cancellation.",
                            "zh": "该请求编号属于另一次取消操作。",
                        },
                    )
                return known
            order = self.one(order_id, user)
            _check(order)
            return self._cancelled(order, key)

    def cancellation(self, key: str) -> Json | None:
        """Return what was done under a key; None: nothing."""
        return self._by_key.get(key)

    def _cancelled(self, order: Json, key: str) -> Json:
        now_s = int(self._now_s())
        done = {
            "order_id": order["id"],
            "cancelled_at": now_s,
            "refund": {"amount": order["total"], "currency": order["currency"]},
        }
        changed = {**order, "status": "cancelled", "cancelled_at": now_s, "reason": {}}
        by_key = {**self._by_key, key: done} if key else self._by_key
        while len(by_key) > KEYS_MAX:
            del by_key[next(iter(by_key))]
        self._keep({**self._orders, order["id"]: changed}, by_key)
        self._orders[order["id"]], self._by_key = changed, by_key
        return done

    def _keep(self, orders: Mapping[str, Json], by_key: Mapping[str, Json]) -> None:
        kept = {"orders": list(orders.values()), "cancellations": by_key}
        coming = self._file.with_name(f".{self._file.name}.coming")
        with coming.open("w", encoding="utf-8") as file:
            json.dump(kept, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        coming.replace(self._file)


def _check(order: Json) -> None:
    if order["status"] in _LEFT:
        raise Refused(
            409,
            "left_warehouse",
            {
                "en": f"Order {order['id']} has left the warehouse and can't be cancelled; "
                "it can be returned after delivery.",
                "zh": f"订单 {order['id']} 已经发货，不能取消；收货后可以办理退货。",
            },
        )
    if order["status"] == "cancelled":
        raise Refused(
            409,
            "already_cancelled",
            {
                "en": f"Order {order['id']} was cancelled before.",
                "zh": f"订单 {order['id']} 之前已经取消。",
            },
        )


def _placed(standard: list[Json], now_s: float) -> list[Json]:
    """Return the standard orders with times: the story is about what was ordered yesterday."""
    orders = []
    for row in standard:
        ago_h = row["placed_hours_ago"]
        order = {name: value for name, value in row.items() if name != "placed_hours_ago"}
        orders.append({**order, "placed_at": int(now_s) - ago_h * _HOUR_S})
    return orders
