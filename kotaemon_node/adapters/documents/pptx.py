"""PPTX to blocks: a slide is a page and a section under its title, with its notes at the end.

Slides that the author hid, and what each slide repeats (date, footer, number), are left out.
"""

import re
from collections.abc import Iterator
from typing import Final

from kotaemon_node.adapters.documents.charts import add_chart
from kotaemon_node.adapters.documents.lists import ListMarks
from kotaemon_node.adapters.documents.ooxml import Package
from kotaemon_node.adapters.documents.parsed import Outline, ParsedDocument
from kotaemon_node.adapters.documents.tabular import Row, add_rows, names_columns
from kotaemon_node.adapters.documents.xml_trees import (
    Element,
    attribute,
    child,
    children,
    descendants,
    local,
    whole_number,
)

_TITLES: Final = frozenset({"title", "ctrTitle"})
_REPEATED: Final = frozenset({"dt", "ftr", "sldNum", "hdr", "sldImg"})
# Placeholders whose paragraphs the slide's layout shows with bullets.
_BULLETED: Final = frozenset({"body", "obj"})
# Some write their own bullets and numbers.
_TYPED_MARK: Final = re.compile(r"(?:\d{1,3}[.)、]|[•·*–-])\s*")
_OFF: Final = frozenset({"0", "false"})


def parse_pptx(package: Package, *, name: str) -> ParsedDocument:
    """Return the document; its title is that of its first slide that has one, else ``name``.

    Raises ``DocumentRefused`` with the reason.
    """
    outline = Outline()
    main = package.main()
    slides = child(package.tree(main), "sldIdLst")
    for number, entry in enumerate(children(slides, "sldId"), 1):
        # The element has two ids; that of the relationship is in a namespace.
        reference = next((v for k, v in entry.attrib.items() if k.endswith("}id")), None)
        found = package.target(main, reference)
        if found is not None and found.kind == "slide":
            outline.page = number
            outline.leave()
            _Slide(outline, package, found.part).read()
    return outline.document(outline.first_heading() or name)


class _Slide:
    def __init__(self, outline: Outline, package: Package, part: str) -> None:
        self._outline = outline
        self._package = package
        self._part = part

    def read(self) -> None:
        root = self._package.tree(self._part)
        if attribute(root, "show") in _OFF:
            return
        shapes = list(_shapes(child(root, "cSld", "spTree")))
        for shape in shapes:
            if _placeholder(shape) in _TITLES:
                self._outline.heading(1, " ".join(_lines(child(shape, "txBody"), bulleted=False)))
        for shape in shapes:
            kind = _placeholder(shape)
            if kind not in _TITLES | _REPEATED:
                self._shape(shape, kind)
        self._notes()

    def _shape(self, shape: Element, kind: str | None) -> None:
        if local(shape) == "graphicFrame":
            self._graphic(shape)
        elif (body := child(shape, "txBody")) is not None:
            lines = _lines(body, bulleted=kind in _BULLETED)
            self._outline.add("text", "\n".join(lines))

    def _graphic(self, frame: Element) -> None:
        for table in descendants(frame, "tbl"):
            rows = _rows(table)
            first = attribute(child(table, "tblPr"), "firstRow")
            named = first is not None and first not in _OFF
            add_rows(self._outline, rows, has_header=named or names_columns(rows))
        for kind, name in (("chart", "id"), ("relIds", "dm")):
            for it in descendants(frame, kind):
                found = self._package.target(self._part, attribute(it, name))
                if found is None:
                    continue
                root = self._package.tree(found.part)
                if found.kind == "chart":
                    add_chart(self._outline, root)
                else:
                    points = (
                        _lines(child(it, "t"), bulleted=True) for it in descendants(root, "pt")
                    )
                    self._outline.add("text", "\n".join(line for it in points for line in it))

    def _notes(self) -> None:
        for part in self._package.related(self._part, "notesSlide"):
            for shape in _shapes(child(self._package.tree(part), "cSld", "spTree")):
                if _placeholder(shape) not in _REPEATED:
                    lines = _lines(child(shape, "txBody"), bulleted=False)
                    self._outline.add("text", "\n".join(lines))


def _shapes(tree: Element | None) -> Iterator[Element]:
    """Yield shapes, tables and charts, also from groups, in the order in which they are drawn."""
    if tree is None:
        return
    for element in tree:
        name = local(element)
        if name in {"sp", "graphicFrame", "cxnSp", "pic"}:
            if not _hidden(element):
                yield element
        elif name == "grpSp" and not _hidden(element):
            yield from _shapes(element)
        elif name == "AlternateContent":
            branch = child(element, "Choice")
            yield from _shapes(branch if branch is not None else child(element, "Fallback"))


def _properties(shape: Element) -> Element | None:
    return next((it for it in shape if local(it).startswith("nv")), None)


def _hidden(shape: Element) -> bool:
    hidden = attribute(child(_properties(shape), "cNvPr"), "hidden")
    return hidden is not None and hidden not in _OFF


def _placeholder(shape: Element) -> str | None:
    """Return which placeholder of the layout a shape fills; None: it fills none."""
    found = child(_properties(shape), "nvPr", "ph")
    return None if found is None else attribute(found, "type") or "obj"


def _lines(body: Element | None, *, bulleted: bool) -> list[str]:
    """Return the paragraphs of a shape, with bullets where its kind has them."""
    lines: list[str] = []
    paragraphs = [
        (paragraph, texts)
        for paragraph in children(body, "p")
        if any(texts := _paragraph(paragraph).split("\n"))
    ]
    listed = bulleted and len(paragraphs) > 1
    for paragraph, texts in paragraphs:
        properties = child(paragraph, "pPr")
        own = child(properties, "buChar") is not None or child(properties, "buAutoNum") is not None
        shown = [" ".join(text.split()) for text in texts if text.strip()]
        typed = _TYPED_MARK.match(shown[0]) is not None
        if (listed or own) and not typed and child(properties, "buNone") is None:
            marks = ListMarks()
            for _ in range(whole_number(attribute(properties, "lvl")) % 9 + 1):
                marks.open_list(None)
            marks.open_item()
            shown = marks.marked(shown)
        lines += shown
    return lines


def _paragraph(paragraph: Element) -> str:
    parts: list[str] = []
    for it in paragraph.iter("{*}t", "{*}br", "{*}tab"):
        parts.append((it.text or "") if local(it) == "t" else "\n" if local(it) == "br" else "\t")
    return "".join(parts)


def _rows(table: Element) -> list[Row]:
    """Return the cells. One that spans rows is repeated, so that each row stands for itself."""
    rows: list[Row] = []
    for row in children(table, "tr"):
        texts: Row = []
        for column, cell in enumerate(children(row, "tc")):
            above = rows[-1][column] if rows and column < len(rows[-1]) else ""
            lines = _lines(child(cell, "txBody"), bulleted=False)
            texts.append(above if attribute(cell, "vMerge") == "1" else "\n".join(lines))
        rows.append(texts)
    return rows
