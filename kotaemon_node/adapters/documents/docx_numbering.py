"""The numbers and bullets of a DOCX document's paragraphs, which it describes and does not hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kotaemon_node.adapters.documents.xml_trees import (
    Element,
    attribute,
    child,
    children,
    whole_number,
)

_BULLET: Final = "•"
_LEVELS: Final = 9
_ROMAN: Final = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"),
    (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_HAN_DIGITS: Final = "〇一二三四五六七八九"


@dataclass(frozen=True, slots=True)
class _Level:
    kind: str
    text: str
    start: int


@dataclass(slots=True)
class _List:
    levels: Mapping[int, _Level]
    counts: dict[int, int] = field(default_factory=dict)


class Numbering:
    """Counts the lists of a document as its paragraphs are read in order."""

    def __init__(self, root: Element | None) -> None:
        """``root`` is that of numbering.xml; None when the document has none."""
        abstract = {
            attribute(it, "abstractNumId"): _List(_levels(it))
            for it in children(root, "abstractNum")
        }
        self._lists: dict[str, _List] = {}
        for it in children(root, "num"):
            found = abstract.get(attribute(child(it, "abstractNumId"), "val"))
            if found is not None:
                self._lists[attribute(it, "numId") or ""] = self._overridden(it, found)

    def mark(self, number_id: str, level: int) -> str | None:
        """Return what stands before the next paragraph of that list: "•", "2.1"; None: nothing."""
        numbered = self._lists.get(number_id)
        found = numbered.levels.get(level) if numbered else None
        if numbered is None or found is None:
            return None
        if found.kind == "bullet":
            return _BULLET
        numbered.counts[level] = numbered.counts.get(level, found.start - 1) + 1
        for deeper in [it for it in numbered.counts if it > level]:
            del numbered.counts[deeper]
        if found.kind == "none":
            return ""
        mark = found.text
        for at in range(_LEVELS):
            if f"%{at + 1}" in mark:
                shown = numbered.levels.get(at, found)
                count = numbered.counts.get(at, shown.start)
                mark = mark.replace(f"%{at + 1}", _number(count, shown.kind))
        return mark.strip()

    def _overridden(self, element: Element, base: _List) -> _List:
        """Return ``base`` itself, which then goes on counting, unless this list begins anew."""
        changed = dict(base.levels)
        anew = False
        for it in children(element, "lvlOverride"):
            at, anew = whole_number(attribute(it, "ilvl")), True
            if (level := child(it, "lvl")) is not None:
                changed[at] = _level(level)
            if (start := child(it, "startOverride")) is not None and at in changed:
                old = changed[at]
                changed[at] = _Level(old.kind, old.text, whole_number(attribute(start, "val"), 1))
        return _List(changed) if anew else base


def _levels(abstract: Element) -> dict[int, _Level]:
    return {whole_number(attribute(it, "ilvl")): _level(it) for it in children(abstract, "lvl")}


def _level(element: Element) -> _Level:
    return _Level(
        kind=attribute(child(element, "numFmt"), "val") or "decimal",
        text=attribute(child(element, "lvlText"), "val") or "",
        start=whole_number(attribute(child(element, "start"), "val"), 1),
    )


def _number(count: int, kind: str) -> str:
    if kind in {"lowerLetter", "upperLetter"} and 0 < count <= 26 * 20:
        letters = chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)
        return letters if kind == "lowerLetter" else letters.upper()
    if kind in {"lowerRoman", "upperRoman"} and 0 < count < 4000:
        return _roman(count) if kind == "lowerRoman" else _roman(count).upper()
    if kind in {"chineseCounting", "chineseCountingThousand", "japaneseCounting"}:
        return _han(count)
    return f"{count:02d}" if kind == "decimalZero" else str(count)


def _roman(count: int) -> str:
    text = ""
    for value, letters in _ROMAN:
        text += letters * (count // value)
        count %= value
    return text


def _han(count: int) -> str:
    if not 0 < count < 100:
        return str(count)
    tens, ones = divmod(count, 10)
    before = ("" if tens == 1 else _HAN_DIGITS[tens]) + "十" if tens else ""
    return before + (_HAN_DIGITS[ones] if ones else "")
