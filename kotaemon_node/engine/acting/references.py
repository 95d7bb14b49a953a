"""Which of several things a message means: by its name, or by its place among those shown."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from kotaemon_node.domain.limits import MESSAGE_CHARS_MAX

_PLACES: Final[Mapping[str, int]] = {
    "first": 0, "1st": 0, "former": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3,
    "4th": 3, "fifth": 4, "5th": 4, "last": -1, "latter": -1,
    "最后一": -1, "后者": -1, "前者": 0,
}  # fmt: skip
_ENGLISH: Final = re.compile(
    r"\bthe (first|1st|former|second|2nd|third|3rd|fourth|4th|fifth|5th|last|latter)\b"
    r"(?! (?:time|week|month|year|day|night|thing))"
)
_CHINESE: Final = re.compile(
    r"第([一二两三四五六七八九十]|\d{1,2})[个笔单条项份件]?|(最后一|后者|前者)"
)
_DIGITS: Final = {sign: place for place, sign in enumerate("一二三四五六七八九十")} | {"两": 1}


def meant(message: str, among: Sequence[str]) -> str | None:
    """Return which of ``among`` the message means; None where it says none of them, or several.

    With one alone it is that one, whatever the message says.
    """
    if len(among) == 1:
        return among[0]
    text = unicodedata.normalize("NFKC", message[:MESSAGE_CHARS_MAX]).lower()
    named = [one for one in among if _names(text, one.lower())]
    if len(named) == 1:
        return named[0]
    places = {*_english(text), *_chinese(text)}
    if named or len(places) != 1:
        return None
    (place,) = places
    return among[place] if -len(among) <= place < len(among) else None


def _names(text: str, value: str) -> bool:
    """Tell whether ``value`` stands in ``text`` as a word: 100 is not in 1003."""
    return re.search(rf"(?<![a-z0-9]){re.escape(value)}(?![a-z0-9])", text) is not None


def _english(text: str) -> list[int]:
    return [_PLACES[found[1]] for found in _ENGLISH.finditer(text)]


def _chinese(text: str) -> list[int]:
    places = []
    for found in _CHINESE.finditer(text):
        if found[2]:
            places.append(_PLACES[found[2]])
        else:
            places.append(int(found[1]) - 1 if found[1].isdecimal() else _DIGITS[found[1]])
    return places
