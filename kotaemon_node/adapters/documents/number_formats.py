"""Numbers as a spreadsheet shows them: by the format of their cell, dates among them."""

import datetime
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

# The formats that every workbook has without naming them. Where a date depends on the reader's
# country, ours is the one that nobody can misread.
BUILT_IN: Final[Mapping[int, str]] = {
    0: "General", 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%",
    11: "0.00E+00",
    14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM",
    19: "h:mm:ss AM/PM", 20: "h:mm", 21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 37: "#,##0", 38: "#,##0",
    39: "#,##0.00", 40: "#,##0.00", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "0.0E+0",
    27: "yyyy年m月", 28: "m月d日", 29: "m月d日", 30: "m-d-yy", 31: "yyyy年m月d日",
    32: "h时mm分",
    33: "h时mm分ss秒", 36: "yyyy年m月", 50: "yyyy年m月", 51: "m月d日", 52: "yyyy年m月",
    53: "m月d日",
    54: "m月d日", 55: "h时mm分", 56: "h时mm分ss秒", 57: "yyyy年m月", 58: "m月d日",
}  # fmt: skip
_FORMAT_CHARS_MAX: Final = 255
_PIECE: Final = re.compile(
    r"""(?P<general>(?i:general))|(?P<literal>"[^"]*"|\\.)|(?P<bracket>\[[^\]]*\])|(?P<blank>[_*].)"""
    r"""|(?P<half>(?i:am/pm|a/p)|上午/下午)|(?P<date>(?i:y+|m+|d+|h+|s+(?:\.0+)?|b+|e+(?![+-])|a{3,4}))"""
    r"""|(?P<number>[#0?][#0?,]*(?:\.[#0?]*,*)?|\.[#0?]+)|(?P<power>(?i:e)[+-]0+)|(?P<other>.)""",
    re.DOTALL,
)
_CURRENCY: Final = re.compile(r"\[\$([^\]-]*)")
_ELAPSED: Final = re.compile(r"\[([hms])+\]", re.IGNORECASE)
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SECONDS_A_DAY: Final = 86_400
_DECIMALS_MAX: Final = 15
_EPOCH: Final = datetime.datetime(1899, 12, 30, tzinfo=datetime.UTC)
_EPOCH_1904: Final = datetime.datetime(1904, 1, 1, tzinfo=datetime.UTC)

_Piece = tuple[str, str]


def shown_number(value: float, number_format: str, *, since_1904: bool = False) -> str:
    """Return ``value`` as a cell with that format shows it."""
    if len(number_format) > _FORMAT_CHARS_MAX:
        return _general(value)
    pieces, of_sign = _section(number_format, value)
    kinds = {kind for kind, _ in pieces}
    if "date" in kinds or any(_ELAPSED.fullmatch(text) for _, text in pieces):
        return _date(value, pieces, since_1904=since_1904)
    if "number" in kinds:
        return _number(value, pieces, of_sign=of_sign)
    text = "".join(_literal(piece) for piece in pieces)
    return _general(value) if kinds & {"general"} or not text.strip() or "@" in text else text


def _section(number_format: str, value: float) -> tuple[list[_Piece], bool]:
    """Return the pieces of the format's section for ``value``; True: it stands for its sign."""
    sections = _sections(number_format)
    if value < 0 and len(sections) > 1:
        return sections[1], True
    if value == 0 and len(sections) > 2:
        return sections[2], True
    return sections[0], False


@lru_cache(maxsize=1_000)
def _sections(number_format: str) -> list[list[_Piece]]:
    """Return the pieces of each section; many cells have the same format."""
    sections: list[list[_Piece]] = [[]]
    for match in _PIECE.finditer(number_format):
        kind = str(match.lastgroup)
        if match.group() == ";":
            sections.append([])
        else:
            sections[-1].append((kind, match.group()))
    return sections


def _literal(piece: _Piece) -> str:
    kind, text = piece
    if kind == "literal":
        return text[1:] if text.startswith("\\") else text[1:-1]
    if kind == "bracket":
        currency = _CURRENCY.match(text)
        return currency.group(1) if currency else ""
    return text if kind == "other" else " " if kind == "blank" else ""


def _general(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.10g}"


def _number(value: float, pieces: list[_Piece], *, of_sign: bool) -> str:
    patterns = [text for kind, text in pieces if kind == "number"]
    if any(text == "/" for _, text in pieces):
        return _general(value)
    whole, _, fraction = patterns[0].partition(".")
    scaled = abs(value)
    if any(text == "%" for _, text in pieces):
        scaled *= 100
    # Commas at the end divide by a thousand each; those inside part the thousands.
    end = patterns[0].replace(".", "")
    scaled /= 1000 ** (len(end) - len(end.rstrip(",")))
    decimals = min(sum(char in "#0?" for char in fraction), _DECIMALS_MAX)
    power = next((text for kind, text in pieces if kind == "power"), None)
    if power is not None:
        digits = f"{scaled:.{decimals}E}"
    else:
        digits = f"{scaled:{',' if ',' in whole.rstrip(',') else ''}.{decimals}f}"
        digits = digits.zfill(min(whole.count("0"), _DECIMALS_MAX)) if "." not in digits else digits
        for char in reversed(fraction):
            if char not in "#?" or not digits.endswith("0"):
                break
            digits = digits[:-1]
    sign = "-" if value < 0 and not of_sign and digits.strip("0.,") else ""
    parts: list[str] = []
    for kind, text in pieces:
        if kind == "number":
            parts.append(digits.rstrip("."))
            digits = ""
        else:
            parts.append(_literal((kind, text)))
    return sign + "".join(parts).strip()


def _date(value: float, pieces: list[_Piece], *, since_1904: bool) -> str:
    try:
        moment = (_EPOCH_1904 if since_1904 else _EPOCH) + datetime.timedelta(
            seconds=round(value * _SECONDS_A_DAY)
        )
    except OverflowError:
        return _general(value)
    halved = any(kind == "half" for kind, _ in pieces)
    parts: list[str] = []
    last = ""
    for at, (kind, text) in enumerate(pieces):
        if kind == "date":
            letter = text[0].lower()
            following = next((it[1][0].lower() for it in pieces[at + 1 :] if it[0] == "date"), "")
            minutes = letter == "m" and (last == "h" or following == "s")
            parts.append(_date_part("n" if minutes else letter, text, moment, halved=halved))
            last = letter
        elif kind == "half":
            parts.append("AM" if moment.hour < 12 else "PM")
        elif elapsed := _ELAPSED.fullmatch(text):
            last = elapsed.group(1).lower()
            unit_s = {"h": 3600, "m": 60, "s": 1}[last]
            parts.append(str(round(value * _SECONDS_A_DAY) // unit_s))
        else:
            parts.append("" if kind == "number" else _literal((kind, text)))
    return "".join(parts).strip()


def _date_part(letter: str, text: str, moment: datetime.datetime, *, halved: bool) -> str:
    length = len(text)
    if letter in "ybe":
        return f"{moment.year % 100:02d}" if letter == "y" and length < 3 else f"{moment.year:04d}"
    if letter in "md" and length > 2:
        name = _MONTHS[moment.month - 1] if letter == "m" else _DAYS[moment.weekday()]
        return name[:3] if length == 3 else name
    if letter == "a":
        return ("周" if length == 3 else "星期") + "一二三四五六日"[moment.weekday()]
    hour = (moment.hour % 12 or 12) if halved else moment.hour
    values = {"m": moment.month, "d": moment.day, "h": hour, "n": moment.minute, "s": moment.second}
    return f"{values[letter]:02d}" if length > 1 else str(values[letter])
