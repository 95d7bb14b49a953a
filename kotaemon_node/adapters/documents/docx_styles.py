"""What a DOCX paragraph is by its style: a heading, a list item, code, part of a contents list."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kotaemon_node.adapters.documents.xml_trees import (
    Element,
    attribute,
    child,
    children,
    whole_number,
)

_HEADING: Final = re.compile(r"heading (\d)")
_CONTENTS: Final = re.compile(r"toc \d|toc heading|table of figures")
_CODE: Final = re.compile(r".*\b(?:code|html preformatted|plain text|listing)\b.*")
_ANCESTORS_MAX: Final = 20
_BODY_TEXT: Final = 9  # the outline level that means: no heading


@dataclass(frozen=True, slots=True)
class Role:
    """What a paragraph is. ``heading`` is its level, 1 the outermost; 0: it is none."""

    heading: int = 0
    code: bool = False
    contents: bool = False
    number_id: str = ""
    level: int = 0


class Styles:
    """The paragraph styles of a document, each with those that it is based on."""

    def __init__(self, root: Element | None) -> None:
        """``root`` is that of styles.xml; None when the document has none."""
        self._styles: Mapping[str, Element] = {
            attribute(it, "styleId") or "": it for it in children(root, "style")
        }

    def role(self, paragraph: Element) -> Role:
        """Return what a paragraph is, by its own properties and then those of its style."""
        own = child(paragraph, "pPr")
        chain = self._chain(attribute(child(own, "pStyle"), "val") or "")
        names = [(attribute(child(it, "name"), "val") or "").lower() for it in chain]
        properties = [own, *(child(it, "pPr") for it in chain)]
        numbers = [found for it in properties if (found := child(it, "numPr")) is not None]
        number_id = next(
            (val for it in numbers if (val := attribute(child(it, "numId"), "val"))), ""
        )
        level = next((val for it in numbers if (val := attribute(child(it, "ilvl"), "val"))), "0")
        return Role(
            heading=_heading_level(names, properties),
            code=any(_CODE.fullmatch(name) for name in names),
            contents=any(_CONTENTS.fullmatch(name) for name in names),
            # Zero takes the number away that the style gives.
            number_id="" if number_id == "0" else number_id,
            level=whole_number(level),
        )

    def _chain(self, style: str) -> list[Element]:
        chain: list[Element] = []
        while (found := self._styles.get(style)) is not None and len(chain) < _ANCESTORS_MAX:
            chain.append(found)
            style = attribute(child(found, "basedOn"), "val") or ""
        return chain


def _heading_level(names: list[str], properties: list[Element | None]) -> int:
    if names and names[0] == "title":
        return 1
    if names and names[0] == "subtitle":
        return 2
    for it in properties:
        if (level := attribute(child(it, "outlineLvl"), "val")) is not None:
            number = whole_number(level, _BODY_TEXT)
            return number + 1 if 0 <= number < _BODY_TEXT else 0
    for name in names:
        if match := _HEADING.fullmatch(name):
            return int(match.group(1))
    return 0
