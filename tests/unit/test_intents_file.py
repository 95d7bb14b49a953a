"""The file of intents is read whole or refused, with line and place of what is wrong."""

from pathlib import Path

import pytest

from kotaemon_node.adapters.intents.described import parse_intents, read_intents
from kotaemon_node.domain.intent_book import EMPTY_BOOK
from kotaemon_node.engine.intents.checking import problems

WHOLE = """
intents:
  query_order:
    description: Where an order is.
    keywords: [where is my order, 我的订单]
    patterns: ['order\\s+\\d+']
    unless: ["don't"]
    examples: ['has my parcel left?', 包裹到哪了]
    slots: [order_id, day]
    needs: [order_id]
  none:
    examples: ['what is tea?']
slots:
  order_id:
    patterns: ['(?:order|订单)\\s*(\\d+)']
    form: '\\d{3,12}'
    ask: {en: 'Which order?', zh: 哪个订单？}
  day: {type: date}
  product: {type: choice, values: {mug: [cup, 杯子]}}
corrections:
  - when: {intent: query_order, previous: [query_refund], within: 2, below: 0.9}
    intent: query_refund
  - when: {intent: null, slots: {order_id: true}, text: 'why|为什么'}
    intent: query_order
    slots: {day: today}
"""


def test_everything_that_the_file_says_is_in_the_book() -> None:
    book = parse_intents(WHOLE.encode(), check=problems)

    assert [rule.name for rule in book.intents] == ["query_order"]
    assert book.intents[0].needs == ("order_id",)
    assert book.outside == ("what is tea?",)
    assert book.slots["order_id"].ask == {"en": "Which order?", "zh": "哪个订单？"}
    assert book.slots["product"].values == {"mug": ("cup", "杯子")}
    first, second = book.corrections
    assert (first.when.intents, first.when.within, first.when.below) == (("query_order",), 2, 0.9)
    assert (second.when.intents, second.intent) == ((None,), "query_order")
    assert second.slots == {"day": "today"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("intents:\n  a: {keyword: [x]}", "line 2: intents.a.keyword"),
        ("intents:\n  a:\n    patterns: ['(x']", "line 3: intents.a.patterns.0"),
        ("intents:\n  a:\n    patterns: ['x(?=y)']", "look-around"),
        ("intents:\n  a: {slots: [b]}", "there is no slot b"),
        ("intents:\n  a: {}\n  a: {}", "line 2: intents.a: is given twice"),
        ("slots:\n  p: {type: choice}", "line 2: slots.p: a choice needs values"),
        ("slots:\n  n: {type: number, least: 3, most: 1}", "slots.n.least: it is more than most"),
        ("corrections:\n  - when: {intent: a, within: 99}\n    intent: b", "line 2: corrections.0"),
        ("corrections:\n  - when: {slots: {x: true}}\n    intent: b", "there is no slot x"),
        ("corrections:\n  - when: {}\n", "line 2: corrections.0.intent"),
        ("intents: [", "neither YAML nor JSON"),
        ("- a", "INTENTS_FILE"),
        ("intents:\n  a: {examples: ['  ']}", "it is blank"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="INTENTS_FILE") as refused:
        parse_intents(text.encode(), check=problems)

    assert told in str(refused.value)


def test_no_file_is_an_empty_book_and_a_missing_one_an_error(tmp_path: Path) -> None:
    assert read_intents(None, check=problems) == EMPTY_BOOK
    with pytest.raises(ValueError, match="cannot be read"):
        read_intents(tmp_path / "none.yaml", check=problems)
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    assert read_intents(empty, check=problems) == EMPTY_BOOK
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 5_000_000)
    with pytest.raises(ValueError, match="larger"):
        read_intents(large, check=problems)
