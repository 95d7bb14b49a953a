"""Places in a list as people say them: "the second one", 第二个, 最后一个."""

import re
from collections.abc import Mapping
from typing import Final

_PLACES: Final[Mapping[str, int]] = {
    "first": 0, "1st": 0, "former": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3,
    "4th": 3, "fifth": 4, "5th": 4, "last": -1, "latter": -1,
    "最后一": -1, "后者": -1, "前者": 0,
}  # fmt: skip
_ENGLISH: Final = re.compile(
    r"\bthe (first|1st|former|second|2nd|third|3rd|fourth|4th|fifth|5th|last|latter)(?: one)?\b"
    r"(?! (?:time|week|month|year|day|night|thing))",
    re.IGNORECASE,
)
_COUNTED: Final = "[个笔单条项份件家座种]"
_NUMBER: Final = r"第([一二两三四五六七八九十]|\d{1,2})"
_SIDE: Final = "(最后一|后者|前者)"
_CHINESE: Final = re.compile(f"{_NUMBER}{_COUNTED}|{_SIDE}")
_CHINESE_BARE: Final = re.compile(f"{_NUMBER}{_COUNTED}?|{_SIDE}")
_DIGITS: Final = {sign: place for place, sign in enumerate("一二三四五六七八九十")} | {"两": 1}


def places_in(text: str, *, bare: bool = False) -> frozenset[int]:
    """Return the places that ``text`` names, from 0 on; -1 is the last one.

    ``text`` has simplified characters. ``bare``: it answers "which one?", so that 第二 without what
    is counted means one of them, too; elsewhere that may be 第二天, the second day.
    """
    found = {_PLACES[match[1].lower()] for match in _ENGLISH.finditer(text)}
    for match in (_CHINESE_BARE if bare else _CHINESE).finditer(text):
        found.add(_PLACES[match[2]] if match[2] else _place_of(match[1]))
    return frozenset(found)


def _place_of(number: str) -> int:
    return int(number) - 1 if number.isdecimal() else _DIGITS[number]
