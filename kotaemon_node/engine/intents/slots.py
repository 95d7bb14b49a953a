"""Values in messages: found by patterns and lists of words, typed, and checked.

A value is found by its slot's ``patterns``. A slot without any is found by its type, of which only
``text`` has no form of its own: any word would be one.
"""

import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.intent_book import SlotRule, SlotType
from kotaemon_node.engine.intents.dates import dates_of
from kotaemon_node.engine.intents.expressions import Expression, Expressions, Plain, keyword, plain
from kotaemon_node.engine.intents.numerals import CHINESE, WESTERN, number_of

_EMAIL: Final = re.compile(
    r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"
)
_NUMBER: Final = re.compile(rf"-?(?:{WESTERN})|{CHINESE}{{1,20}}(?:点{CHINESE}{{1,10}})?")
_CURRENCIES: Final = {
    "$": "USD",
    "usd": "USD",
    "dollar": "USD",
    "dollars": "USD",
    "美元": "USD",
    "€": "EUR",
    "eur": "EUR",
    "euro": "EUR",
    "euros": "EUR",
    "欧元": "EUR",
    "£": "GBP",
    "gbp": "GBP",
    "pound": "GBP",
    "pounds": "GBP",
    "英镑": "GBP",
    "¥": "CNY",
    "cny": "CNY",
    "rmb": "CNY",
    "yuan": "CNY",
    "元": "CNY",
    "块": "CNY",
    "块钱": "CNY",
    "人民币": "CNY",
}
_SIGN: Final = "|".join(re.escape(it) for it in sorted(_CURRENCIES, key=len, reverse=True))
_QUANTITY: Final = rf"(?:(?:{WESTERN})\s?[万亿千百]?|{CHINESE}{{1,20}}(?:点{CHINESE}{{1,4}})?)"
_AMOUNT: Final = re.compile(
    rf"(?P<before>{_SIGN})\s?(?P<first>{_QUANTITY})|(?P<second>{_QUANTITY})\s?(?P<after>{_SIGN})",
    re.IGNORECASE,
)

Placed = tuple[int, Any]
"""Where a value begins, and its JSON value."""


@dataclass(frozen=True, slots=True)
class _Slot:
    rule: SlotRule
    patterns: tuple[Expression, ...]
    form: Expression | None
    words: tuple[str, ...]
    """Of a choice: what each word of ``lexicon`` means."""
    lexicon: Expressions


class SlotReader:
    """Reads the slots of a book. Thread safe."""

    def __init__(self, rules: Mapping[str, SlotRule]) -> None:
        """Raises ``BadExpression``."""
        self._slots = {name: _prepared(rule) for name, rule in rules.items()}

    def read(
        self,
        text: str,
        *,
        only: Iterable[str] | None = None,
        asked: str = "",
        today: datetime.date | None = None,
    ) -> dict[str, tuple[Any, ...]]:
        """Return the legal values in ``text`` by slot, in order, each once; slots that have any.

        ``asked``: the slot that the answer before asked for, whose value may be all of the message.
        """
        names = self._slots.keys() if only is None else set(only) & self._slots.keys()
        searched = plain(text)
        found = {name: self.values(name, searched, today=today) for name in sorted(names)}
        values = {name: tuple(many) for name, many in found.items() if many}
        if asked in self._slots and asked not in values:
            value = self._bare(self._slots[asked], searched, today)
            if value is not None:
                values[asked] = (value,)
        return values

    def values(self, name: str, text: Plain, *, today: datetime.date | None = None) -> list[Any]:
        """Return all legal values of one slot, in order, each once."""
        found: list[Any] = []
        for _, value in sorted(_placed(self._slots[name], text, today), key=lambda it: it[0]):
            if value in found:
                found.remove(value)
            found.append(value)
        return found

    def question(self, name: str, language: str) -> str:
        """Return how a missing value is asked for; "": nobody wrote it."""
        slot = self._slots.get(name)
        return "" if slot is None else slot.rule.ask.get(language, "")

    def _bare(self, slot: _Slot, text: Plain, today: datetime.date | None) -> Any:
        """Return the value that all of a message is, or the only one in it of this form."""
        if slot.rule.type == "text":
            words = [word.strip("#.,;:!?，。；：！？、\"'") for word in text.said.split()]
            whole = text.said.strip(" .,;:!?，。；：！？、")
            formed = [word for word in words if word and slot.form and slot.form.whole(word)]
            if slot.form is not None:
                return formed[0] if len(set(formed)) == 1 else _legal(slot, whole)
            return _legal(slot, whole)
        placed = [_legal(slot, it[1]) for it in _READ[slot.rule.type](text, today, slot)]
        legal = [value for value in placed if value is not None]
        return legal[-1] if legal else None


def _prepared(rule: SlotRule) -> _Slot:
    words = [(value, word) for value, many in rule.values.items() for word in {value, *many}]
    return _Slot(
        rule,
        tuple(Expression(pattern) for pattern in rule.patterns),
        Expression(rule.form) if rule.form else None,
        tuple(value for value, _ in words),
        Expressions([keyword(word) for _, word in words]),
    )


def _placed(slot: _Slot, text: Plain, today: datetime.date | None) -> list[Placed]:
    """Return values with their places: by the patterns where there are any, else by the type."""
    if slot.patterns:
        cut = [it for pattern in slot.patterns for it in pattern.values(text)]
        read = [(place, _typed(slot, value, today)) for place, value in cut]
    elif slot.rule.type == "text":
        return []  # any word would be one
    else:
        read = _READ[slot.rule.type](text, today, slot)
    legal = [(place, _legal(slot, value)) for place, value in read[: limits.SLOT_VALUES_MAX]]
    return [(place, value) for place, value in legal if value is not None]


def _typed(slot: _Slot, value: str, today: datetime.date | None) -> Any:
    """Return what a pattern has cut out, as a value of the slot's type; None: it is none."""
    if slot.rule.type == "text":
        return value.strip()
    found = _READ[slot.rule.type](plain(value), today, slot)
    return found[0][1] if found else None


def _numbers(text: Plain, today: datetime.date | None, slot: _Slot) -> list[Placed]:
    found = []
    for match in _NUMBER.finditer(text.folded):
        number = number_of(match[0])
        if number is not None:
            found.append((match.start(), _json(number)))
    return found


def _json(number: Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)


def _amounts(text: Plain, today: datetime.date | None, slot: _Slot) -> list[Placed]:
    found = []
    for match in _AMOUNT.finditer(text.folded):
        number = number_of(match["first"] or match["second"])
        currency = _CURRENCIES[(match["before"] or match["after"]).lower()]
        if number is not None:
            found.append((match.start(), {"value": _json(number), "currency": currency}))
    return found


def _dates(text: Plain, today: datetime.date | None, slot: _Slot) -> list[Placed]:
    return [(place, date.isoformat()) for place, date in dates_of(text.folded, today=today)]


def _emails(text: Plain, today: datetime.date | None, slot: _Slot) -> list[Placed]:
    return [(it.start(), it[0]) for it in _EMAIL.finditer(text.said)]


def _choices(text: Plain, today: datetime.date | None, slot: _Slot) -> list[Placed]:
    """Return the values whose words occur; a word inside a longer one that occurs is none."""
    spans = slot.lexicon.spans(text)
    return [
        (start, slot.words[number])
        for number, (start, end) in spans.items()
        if not any(a <= start and end <= b and (a, b) != (start, end) for a, b in spans.values())
    ]


_READ: Final[Mapping[SlotType, Callable[[Plain, datetime.date | None, _Slot], list[Placed]]]] = {
    "text": lambda text, today, slot: [(0, text.said.strip())],
    "integer": _numbers,
    "number": _numbers,
    "date": _dates,
    "amount": _amounts,
    "email": _emails,
    "choice": _choices,
}


def _legal(slot: _Slot, value: Any) -> Any:
    """Return ``value`` where it is a legal one, else None."""
    if value is None or value == "" or len(str(value)) > limits.SLOT_CHARS_MAX:
        return None
    if slot.rule.type == "integer" and not isinstance(value, int):
        return None
    size = value["value"] if isinstance(value, dict) else value
    if isinstance(size, int | float) and not _within(slot.rule, size):
        return None
    if slot.form is not None and not slot.form.whole(str(value)):
        return None
    return value


def _within(rule: SlotRule, size: float) -> bool:
    return (rule.least is None or size >= rule.least) and (rule.most is None or size <= rule.most)
