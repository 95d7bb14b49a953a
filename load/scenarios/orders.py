"""Customers with orders for the sample shop, so that many can cancel: each order only once.

    python -m load.scenarios.orders --customers 600 --data .data/orders

Write them before the cluster starts: the shop reads its file once. Customer ``load-7`` has the
orders 4070 to 4079. Orders that are there stay, those of these customers are made anew.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

CUSTOMERS_MAX: Final = 600
"""The shop's plugins know a number of an order by its four digits."""
ORDERS_EACH: Final = 10
_FIRST: Final = 4_000
STANDARD_CUSTOMER: Final = "demo"
STANDARD_ORDER: Final = "1003"


def customer(number: int, customers: int) -> str:
    """Return the name of the customer that virtual user ``number`` is; of none, the sample's."""
    return f"load-{number % customers}" if customers else STANDARD_CUSTOMER


def order(number: int, customers: int, *, talk: int) -> str:
    """Return the order that this user's talk of this number is about."""
    if not customers:
        return STANDARD_ORDER
    return str(_FIRST + number % customers * ORDERS_EACH + talk % ORDERS_EACH)


def made(customers: int, *, now_s: float) -> list[dict[str, Any]]:
    """Return the orders, all of which wait to be shipped."""
    return [
        {
            "id": order(number, customers, talk=talk),
            "user": customer(number, customers),
            "status": "waiting",
            "placed_at": int(now_s) - 3_600 * (talk + 1),
            "country": "Singapore",
            "items": [
                {
                    "sku": "LMP-21",
                    "quantity": talk + 1,
                    "name": {"en": "Nordic desk lamp", "zh": "北欧台灯"},
                }
            ],
            "total": f"{98 * (talk + 1)}.00",
            "currency": "USD",
            "reason": {
                "en": "it was ordered after 14:00 and leaves on the next working day",
                "zh": "订单在 14:00 之后支付，将在下一个工作日发出",
            },
        }
        for number in range(customers)
        for talk in range(ORDERS_EACH)
    ]


def write(folder: Path, customers: int, *, now_s: float) -> Path:
    """Put the orders into the shop's file, which begins as the standard one; return the file."""
    file = folder / "orders.json"
    kept: dict[str, Any] = {"orders": _standard(now_s), "cancellations": {}}
    if file.exists():
        kept = json.loads(file.read_text("utf-8"))
    mine = made(customers, now_s=now_s)
    numbers = {one["id"] for one in mine}
    kept["orders"] = [one for one in kept["orders"] if one["id"] not in numbers] + mine
    folder.mkdir(parents=True, exist_ok=True)
    coming = file.with_name(f".{file.name}.coming")
    coming.write_text(json.dumps(kept, ensure_ascii=False), "utf-8")
    coming.replace(file)
    return file


def _standard(now_s: float) -> list[dict[str, Any]]:
    sample = Path(__file__).resolve().parents[2] / "sample" / "shop" / "orders.json"
    rows = json.loads(sample.read_text("utf-8"))
    for row in rows:
        row["placed_at"] = int(now_s) - 3_600 * row.pop("placed_hours_ago")
    return list(rows)


def main() -> int:
    """Write as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=CUSTOMERS_MAX)
    parser.add_argument("--data", type=Path, default=Path(".data/orders"))
    asked = parser.parse_args()
    if not 1 <= asked.customers <= CUSTOMERS_MAX:
        parser.error(f"--customers is 1 to {CUSTOMERS_MAX}: order numbers have four digits")
    file = write(asked.data, asked.customers, now_s=time.time())
    print(
        f"{file}: {asked.customers} customers with {ORDERS_EACH} orders each.\n"
        f"Start the cluster now, and give the scenarios --customers {asked.customers}."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
