"""Documents and answers for the page's tests: our own writing."""

from typing import Any

from tests.browser.stub import Stub
from tests.browser.stub_turns import Script

QUESTION = "How long does standard shipping take?"
QUESTION_ZH = "标准配送需要多长时间？"

# Before the passage stand characters that are one code point and two UTF-16 units each.
SHIPPING = (
    "Shipping\n\n"
    "We pack every order within one working day 📦🚚. Letters such as 𠮷 and 𝒳 are fine in a name, "
    "and so are families 👨‍👩‍👧‍👦.\n\n"
    "Delivery times\n\n"
    "{passage} Express shipping takes one working day when you order before noon.\n\n"
    "Costs\n\n"
    "Standard shipping is free from 50 euros. Below that it costs 4.90 euros.\n"
)
PASSAGE = "Standard shipping takes 3 to 5 working days 🐢 within the country."

RETURNS = (
    "Returns\n\n"
    "You have 30 days to return an item. The 30 days begin when the parcel arrives.\n\n"
    "What we need\n\n"
    "The item must be unused, and the receipt must be in the parcel.\n"
)
RETURNS_PASSAGE = "You have 30 days to return an item."

SHIPPING_ZH = (
    "配送\n\n下单后一个工作日内发货 📦。\n\n配送时间\n\n{passage}\n\n费用\n\n满 300 元免运费。\n"
)
PASSAGE_ZH = "标准配送需要 3 至 5 个工作日。"


def source(text: str, passage: str, *, title: str, document: str) -> dict[str, Any]:
    """Return a source as the API tells it; Python counts code points, as the API does."""
    start = text.index(passage)
    return {
        "document": document, "revision": "9f2c4be01a77" * 5, "title": title, "text": text,
        "span": [start, start + len(passage)],
    }  # fmt: skip


def add_shop(stub: Stub) -> None:
    """Teach the stub two documents in English and one in Chinese, and what to answer."""
    shipping = source(
        SHIPPING.format(passage=PASSAGE), PASSAGE, title="Shipping", document="shop/shipping.md"
    )
    returns = source(RETURNS, RETURNS_PASSAGE, title="Returns", document="shop/returns.md")
    chinese = source(
        SHIPPING_ZH.format(passage=PASSAGE_ZH), PASSAGE_ZH, title="配送", document="shop/配送.md"
    )
    docs = [
        stub.add_document(shipping, n=1, heading=["Shipping", "Delivery times"]),
        stub.add_document(returns, n=2, heading=["Returns"], page=2),
    ]
    stub.scripts[QUESTION] = Script(
        pieces=(
            "Standard shipping takes ", "3 to 5 working days within the ",
            "country [1]. You may send things back ", "for 30 days [2].",
        ),
        sources=docs,
    )  # fmt: skip
    stub.scripts[QUESTION_ZH] = Script(
        pieces=("标准配送需要 ", "3 至 5 个工作日 [3]。"),
        sources=[stub.add_document(chinese, n=3, heading=["配送", "配送时间"])],
    )


ANSWER = (
    "Standard shipping takes 3 to 5 working days within the country 1. "
    "You may send things back for 30 days 2."
)
ANSWER_ZH = "标准配送需要 3 至 5 个工作日 3。"
