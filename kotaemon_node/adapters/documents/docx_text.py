"""What a DOCX paragraph shows as one text: runs, insertions, formulas; no deletions, no fields."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kotaemon_node.adapters.documents.xml_trees import (
    Element,
    attribute,
    child,
    children,
    descendants,
    local,
)

# fmt: off
_DROPPED: Final = frozenset({
    "pPr", "rPr", "sdtPr", "sdtEndPr", "del", "moveFrom", "instrText", "delText", "delInstrText",
    "rt", "sectPr", "annotationRef", "ctrlPr", "fPr", "radPr", "tbl",
})
# fmt: on
_SIGNS: Final = {
    "tab": "\t",
    "ptab": "\t",
    "br": "\n",
    "cr": "\n",
    "noBreakHyphen": "-",
    "softHyphen": "",
}  # fmt: skip
_OFF: Final = frozenset({"0", "false", "off"})

NoteKey = tuple[str, str]
"""Kind ("footnote", "endnote") and id."""


@dataclass(slots=True)
class Inline:
    """The text of a paragraph, and what hangs on it: notes by their ids, text boxes."""

    numbers: dict[NoteKey, int]
    """Numbers of the notes met so far, in the whole document; grows."""
    pieces: list[str] = field(default_factory=list)
    notes: list[NoteKey] = field(default_factory=list)
    boxes: list[Element] = field(default_factory=list)

    def note(self, kind: str, identifier: str) -> None:
        """Add a note and, where it is mentioned, its number."""
        key = (kind, identifier)
        self.notes.append(key)
        self.pieces.append(f" [{self.numbers.setdefault(key, len(self.numbers) + 1)}]")

    def text(self) -> str:
        """Return the lines, without blanks at their ends."""
        lines = (" ".join(line.split()) for line in "".join(self.pieces).split("\n"))
        return "\n".join(line for line in lines if line)


def read_inline(parent: Element, into: Inline) -> Inline:
    """Add what ``parent`` shows to ``into``, and return that."""
    for element in parent:
        name = local(element)
        if name == "t":
            into.pieces.append(element.text or "")
        elif name in _SIGNS:
            into.pieces.append(_SIGNS[name])
        elif name in _DROPPED or (name == "r" and _hidden(element)):
            continue
        elif name in {"footnoteReference", "endnoteReference"}:
            into.note(name.removesuffix("Reference"), attribute(element, "id") or "")
        elif name in {"drawing", "pict", "object"}:
            into.boxes.extend(_boxes(element))
        elif name in _FORMULAS:
            _FORMULAS[name](element, into)
        else:
            branch = shown_branch(element) if name == "AlternateContent" else element
            read_inline(branch, into)
    return into


def shown_branch(alternatives: Element) -> Element:
    """Return the newest form of something that is there in several; the others repeat it."""
    choice = child(alternatives, "Choice")
    fallback = child(alternatives, "Fallback")
    for branch in (choice, fallback):
        if branch is not None and next(descendants(branch, "t"), None) is not None:
            return branch
    return alternatives if choice is None and fallback is None else _first(choice, fallback)


def _first(choice: Element | None, fallback: Element | None) -> Element:
    return choice if choice is not None else fallback


def _hidden(run: Element) -> bool:
    vanish = child(run, "rPr", "vanish")
    return vanish is not None and attribute(vanish, "val") not in _OFF


def _boxes(drawing: Element) -> list[Element]:
    """Return the outermost text boxes; one inside of another is met when that is read."""
    found: list[Element] = []
    for box in descendants(drawing, "txbxContent"):
        above = [local(it) for it in box.iterancestors()]
        inside = above[: above.index(local(drawing))]
        if "txbxContent" not in inside and "Fallback" not in inside:
            found.append(box)
    return found


def _part(element: Element, name: str) -> str:
    """Return one part of a formula as text, in brackets where it is more than a word."""
    found = child(element, name)
    text = read_inline(found, Inline({})).text() if found is not None else ""
    return text if len(text) < 2 or text.isalnum() else f"({text})"


def _fraction(element: Element, into: Inline) -> None:
    into.pieces.append(f"{_part(element, 'num')}/{_part(element, 'den')}")


def _raised(element: Element, into: Inline) -> None:
    for name, sign in (("e", ""), ("sub", "_"), ("sup", "^")):
        if text := _part(element, name):
            bare = text[1:-1] if name == "e" and text.startswith("(") else text
            into.pieces.append(f"{sign}{bare}")


def _sum(element: Element, into: Inline) -> None:
    into.pieces.append(attribute(child(element, "naryPr", "chr"), "val") or "∫")
    for name, sign in (("sub", "_"), ("sup", "^"), ("e", " ")):
        if text := _part(element, name):
            bare = text[1:-1] if name == "e" and text.startswith("(") else text
            into.pieces.append(f"{sign}{bare}")


def _brackets(element: Element, into: Inline) -> None:
    properties = child(element, "dPr")
    begin = attribute(child(properties, "begChr"), "val")
    end = attribute(child(properties, "endChr"), "val")
    inside = (read_inline(it, Inline({})).text() for it in children(element, "e"))
    opening, closing = "(" if begin is None else begin, ")" if end is None else end
    into.pieces.append(f"{opening}{', '.join(inside)}{closing}")


def _root(element: Element, into: Inline) -> None:
    into.pieces.append(f"√{_part(element, 'e')}")


def _function(element: Element, into: Inline) -> None:
    into.pieces.append(f"{_part(element, 'fName')} {_part(element, 'e')}")


def _limit(element: Element, into: Inline) -> None:
    into.pieces.append(f"{_part(element, 'e')}_{_part(element, 'lim')}")


_FORMULAS: Final[dict[str, Callable[[Element, Inline], None]]] = {
    "f": _fraction,
    "sSup": _raised,
    "sSub": _raised,
    "sSubSup": _raised,
    "nary": _sum,
    "d": _brackets,
    "rad": _root,
    "func": _function,
    "limLow": _limit,
}
