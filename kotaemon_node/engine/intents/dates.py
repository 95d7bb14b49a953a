"""Dates in messages: 2026-11-21, 21 November, Nov 21st, 11月21日, 十一月二十一号, tomorrow."""

import datetime
import re
from collections.abc import Callable, Iterator
from typing import Final

from kotaemon_node.engine.intents.numerals import CHINESE, number_of

_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905
_MONTH: Final = (
    "(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    "|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\\.?"
)
_DAY: Final = r"(\d{1,2})(?:st|nd|rd|th)?"
_ZH: Final = rf"(\d{{1,4}}|{CHINESE}{{1,4}})"
_DAYS: Final = {
    "the day after tomorrow": 2,
    "day before yesterday": -2,
    "yesterday": -1,
    "tomorrow": 1,
    "today": 0,
    "大后天": 3,
    "前天": -2,
    "昨天": -1,
    "今天": 0,
    "明天": 1,
    "后天": 2,
}
_WEEK: Final = {sign: number for number, sign in enumerate("一二三四五六日")} | {"天": 6}
_WEEKDAYS: Final = "monday tuesday wednesday thursday friday saturday sunday".split()  # noqa: SIM905

_ISO: Final = re.compile(r"(?<!\d)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")
_DAY_FIRST: Final = re.compile(rf"(?<![\d.])\b{_DAY}(?: of)? {_MONTH}\b(?:,? (\d{{4}})\b)?", re.I)
_MONTH_FIRST: Final = re.compile(rf"\b{_MONTH} {_DAY}\b(?:,? (\d{{4}})\b)?", re.I)
_CHINESE_DATE: Final = re.compile(rf"(?:{_ZH}年)?{_ZH}月{_ZH}[日号]")
_RELATIVE: Final = re.compile("|".join(_DAYS), re.I)
_WEEKDAY: Final = re.compile(rf"\b(next )?({'|'.join(_WEEKDAYS)})\b", re.I)
_CHINESE_WEEKDAY: Final = re.compile("(下|这|本)?(?:周|星期|礼拜)([一二三四五六日天])")

Found = tuple[int, datetime.date]
"""Where a date begins, and which it is."""


def dates_of(text: str, *, today: datetime.date | None) -> list[Found]:
    """Return the dates in ``text``, in order; without ``today`` only those that name a year."""
    return sorted({*_named(text, today), *_counted(text, today)})


def _named(text: str, today: datetime.date | None) -> Iterator[Found]:
    readings: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], tuple[str, ...]]], ...] = (
        (_ISO, lambda m: (m[1], m[2], m[3])),
        (_DAY_FIRST, lambda m: (m[3] or "", _month(m[2]), m[1])),
        (_MONTH_FIRST, lambda m: (m[3] or "", _month(m[1]), m[2])),
        (_CHINESE_DATE, lambda m: (m[1] or "", m[2], m[3])),
    )
    for pattern, parts in readings:
        for match in pattern.finditer(text):
            made = _date(*parts(match), today=today)
            if made is not None:
                yield match.start(), made


def _month(word: str) -> str:
    return str(_MONTHS.index(word[:3].lower()) + 1)


def _date(year: str, month: str, day: str, *, today: datetime.date | None) -> datetime.date | None:
    """Return the date; where no year is said, the one nearest to today."""
    numbers = [number_of(part) for part in (month, day)]
    if None in numbers:
        return None
    months, days = (int(number or 0) for number in numbers)
    if not year and today is None:
        return None
    years = [_year(year)] if year else [today.year + by for by in (-1, 0, 1)] if today else []
    dates = [it for it in (_legal(one, months, days) for one in years) if it is not None]
    if year or not dates:
        return dates[0] if dates else None
    return min(dates, key=lambda one: abs(one - today) if today else datetime.timedelta())


def _legal(year: int, month: int, day: int) -> datetime.date | None:
    try:
        return datetime.date(year, month, day)
    except ValueError:  # the 31st of a month that has none
        return None


def _year(text: str) -> int:
    year = int(number_of(text) or 0)
    return year + 2000 if year < 100 else year  # "26年" is 2026


def _counted(text: str, today: datetime.date | None) -> Iterator[Found]:
    if today is None:
        return
    for match in _RELATIVE.finditer(text):
        yield match.start(), today + datetime.timedelta(days=_DAYS[match[0].lower()])
    for match in _WEEKDAY.finditer(text):
        ahead = (_WEEKDAYS.index(match[2].lower()) - today.weekday()) % 7
        yield match.start(), today + datetime.timedelta(days=ahead or 7 * bool(match[1]))
    for match in _CHINESE_WEEKDAY.finditer(text):
        monday = today - datetime.timedelta(days=today.weekday())
        days = _WEEK[match[2]] + (7 if match[1] == "下" else 0)
        yield match.start(), monday + datetime.timedelta(days=days)
