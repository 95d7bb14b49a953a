"""Numbers in words and signs: "1,200.50", 三百五十, 两千零三, 一〇〇三."""

import re
from decimal import Decimal, InvalidOperation
from typing import Final

_DIGITS: Final = {sign: value for value, sign in enumerate("〇一二三四五六七八九")} | {
    "零": 0,
    "两": 2,
    "壹": 1,
    "贰": 2,
    "叁": 3,
    "肆": 4,
    "伍": 5,
    "陆": 6,
    "柒": 7,
    "捌": 8,
    "玖": 9,
}
_TENS: Final = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1_000, "仟": 1_000}
_MYRIADS: Final = {"万": 10_000, "亿": 100_000_000}
_SIGNS: Final = frozenset(_DIGITS) | frozenset(_TENS) | frozenset(_MYRIADS)

CHINESE: Final = f"[{''.join(sorted(_SIGNS))}]"
"""One sign of a Chinese numeral, as a class of a regular expression."""
WESTERN: Final = r"(?<!\d)(?:\d{1,3}(?:,\d{3}){1,4}(?!,?\d)|\d{1,15}(?!\d))(?:\.\d{1,9}(?!\d))?"
_LARGEST: Final = Decimal(10) ** 15
"""Beyond it JSON and floats lose digits; nobody buys so much."""
_MIXED: Final = re.compile(rf"({WESTERN})\s*([万亿千百])?")


def number_of(text: str) -> Decimal | None:
    """Return the number that ``text``, of one width and simplified, writes; None: it is none."""
    text = text.strip()
    sign = -1 if text[:1] in {"-", "负", "−"} else 1
    text = text[1:].strip() if sign < 0 else text
    if mixed := _MIXED.fullmatch(text):
        unit = {**_TENS, **_MYRIADS}.get(mixed[2] or "", 1)
        try:
            return sign * Decimal(mixed[1].replace(",", "")) * unit
        except InvalidOperation:
            return None
    found = _chinese(text)
    return None if found is None or found > _LARGEST else sign * found


def _chinese(text: str) -> Decimal | None:
    whole, point, rest = text.partition("点")
    if (
        not whole
        or not set(whole) <= _SIGNS
        or (point and not (rest and set(rest) <= set(_DIGITS)))
    ):
        return None
    value = _spelled(whole) if set(whole) <= set(_DIGITS) else _counted(whole)
    if value is None:
        return None
    return Decimal(f"{value}.{_spelled_text(rest)}") if point else Decimal(value)


def _spelled_text(signs: str) -> str:
    return "".join(str(_DIGITS[sign]) for sign in signs)


def _spelled(signs: str) -> int:
    """Digit by digit: 一〇〇三 is 1003."""
    return int(_spelled_text(signs))


def _counted(signs: str) -> int | None:
    """With their places: 三百五十 is 350, 三百五 too; None where places grow inside a group."""
    total, group, digit, last = 0, 0, 0, 0
    for sign in signs:
        if sign in _DIGITS:
            digit = _DIGITS[sign]
            last = 0 if sign in "零〇" else last
        elif sign in _TENS:
            group += (digit or 1) * _TENS[sign]
            digit, last = 0, _TENS[sign]
        elif not total + group + digit:
            return None  # 万 alone is a surname
        else:
            total = (total + group + digit) * _MYRIADS[sign]
            group, digit, last = 0, 0, _MYRIADS[sign]
    # 三百五 is 350: a last digit counts tenths of the place before it, but 三百零五 is 305.
    tail = digit * last // 10 if last >= 100 else digit
    return total + group + tail
