"""DOCX to blocks: headings, paragraphs, lists, tables, notes and text boxes.

Of tracked changes the insertions count. Page headers and footers, comments, tables of contents and
embedded documents are left out.
"""

from collections.abc import Iterator
from typing import Final

from kotaemon_node.adapters.documents.docx_numbering import Numbering
from kotaemon_node.adapters.documents.docx_styles import Role, Styles
from kotaemon_node.adapters.documents.docx_text import Inline, NoteKey, read_inline, shown_branch
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
from kotaemon_node.domain.errors import DocumentRefused

_INDENT: Final = "  "
_COLUMNS_MAX: Final = 1_000
_TRANSPARENT: Final = frozenset(
    {"ins", "moveTo", "customXml", "smartTag", "sdtContent", "dir", "bdo"}
)


def parse_docx(package: Package, *, name: str) -> ParsedDocument:
    """Return the document; its title is its first heading, else ``name``.

    Raises ``DocumentRefused`` with the reason.
    """
    main = package.main()
    body = child(package.tree(main), "body")
    if body is None:
        raise DocumentRefused("it is damaged: its main part has no body")
    outline = Outline()
    _Reader(outline, package, main).read(body)
    return outline.document(outline.first_heading() or name)


class _Reader:
    def __init__(self, outline: Outline, package: Package, main: str) -> None:
        self._outline = outline
        self._styles = Styles(package.tree_of(main, "styles"))
        self._numbering = Numbering(package.tree_of(main, "numbering"))
        self._notes = {
            (kind, attribute(note, "id") or ""): note
            for kind in ("footnote", "endnote")
            if (root := package.tree_of(main, f"{kind}s")) is not None
            for note in children(root, kind)
        }
        self._numbers: dict[NoteKey, int] = {}
        self._lines: list[str] = []
        self._kind = ""

    def read(self, body: Element) -> None:
        self._blocks(body)
        self._end_block()

    def _blocks(self, parent: Element) -> None:
        for element in _shown(parent):
            if local(element) == "p":
                self._paragraph(element)
            else:
                self._end_block()
                self._table(element)

    def _paragraph(self, element: Element) -> None:
        role = self._styles.role(element)
        inline = read_inline(element, Inline(self._numbers))
        text = self._marked(inline.text(), role)
        if role.contents:
            return
        if role.heading and text:
            self._end_block()
            self._outline.heading(role.heading, text)
        elif role.code and text:
            self._collect("code", text)
        elif role.number_id and text:
            self._collect("text", text)
        elif text:
            self._end_block()
            self._outline.add("text", text)
        self._hanging(inline)

    def _hanging(self, inline: Inline) -> None:
        """Add the notes and boxes of a paragraph below it."""
        if not (inline.notes or inline.boxes):
            return
        self._end_block()
        for key in inline.notes:
            note = self._notes.get(key)
            lines = [] if note is None else list(self._lines_of(note))
            if lines:
                lines[0] = f"[{self._numbers[key]}] {lines[0]}"
                self._outline.add("text", "\n".join(lines))
        for box in inline.boxes:
            self._blocks(box)
            self._end_block()

    def _marked(self, text: str, role: Role) -> str:
        """Return ``text`` with its number or bullet. Lists count empty paragraphs, too."""
        mark = self._numbering.mark(role.number_id, role.level) if role.number_id else None
        if not text:
            return ""
        if mark is None or role.heading:
            return f"{mark} {text}" if mark else text
        return f"{_INDENT * min(role.level, 8)}{mark} {text}"

    def _collect(self, kind: str, text: str) -> None:
        if kind != self._kind:
            self._end_block()
            self._kind = kind
        self._lines.append(text)

    def _end_block(self) -> None:
        if self._lines:
            self._outline.add("code" if self._kind == "code" else "text", "\n".join(self._lines))
            self._lines = []
        self._kind = ""

    def _table(self, table: Element) -> None:
        rows = [row for row in _shown(table, "tr") if child(row, "trPr", "del") is None]
        if all(sum(1 for _ in _shown(row, "tc")) < 2 for row in rows):
            # A table of one column frames what stands in it.
            for row in rows:
                for cell in _shown(row, "tc"):
                    self._blocks(cell)
                    self._end_block()
            return
        inline = Inline(self._numbers)
        texts = self._rows(rows, inline)
        named = child(rows[0], "trPr", "tblHeader") is not None
        add_rows(self._outline, texts, has_header=named or names_columns(texts))
        self._hanging(inline)

    def _rows(self, rows: list[Element], hanging: Inline) -> list[Row]:
        """Return the cells. One that spans rows is repeated, so that each row stands for itself."""
        result: list[Row] = []
        above: dict[int, str] = {}
        for row in rows:
            texts: Row = []
            column = 0
            for cell in _shown(row, "tc"):
                merged = child(cell, "tcPr", "vMerge")
                going_on = merged is not None and attribute(merged, "val") != "restart"
                text = above.get(column, "") if going_on else self._cell(cell, hanging)
                above[column] = text
                texts.append(text)
                span = whole_number(attribute(child(cell, "tcPr", "gridSpan"), "val"), 1)
                column += min(max(span, 1), _COLUMNS_MAX)
            result.append(texts)
        return result

    def _cell(self, cell: Element, hanging: Inline | None) -> str:
        return "\n".join(self._lines_of(cell, hanging))

    def _lines_of(self, parent: Element, hanging: Inline | None = None) -> Iterator[str]:
        """Yield the paragraphs below ``parent``, those of tables in it row by row."""
        for element in _shown(parent):
            if local(element) == "p":
                inline = read_inline(element, Inline(self._numbers))
                if hanging is not None:
                    hanging.boxes += inline.boxes
                    hanging.notes += inline.notes
                if text := self._marked(inline.text(), self._styles.role(element)):
                    yield text.strip()
            else:
                for row in _shown(element, "tr"):
                    cells = (self._cell(it, hanging) for it in _shown(row, "tc"))
                    yield ", ".join(cell for cell in cells if cell)


def _shown(parent: Element, *names: str) -> Iterator[Element]:
    """Yield paragraphs and tables (or ``names``) of ``parent``, also from what only wraps them."""
    wanted = names or ("p", "tbl")
    for element in parent:
        name = local(element)
        if name in wanted:
            yield element
        elif name == "sdt":
            gallery = next(descendants(element, "docPartGallery"), None)
            content = child(element, "sdtContent")
            if content is not None and attribute(gallery, "val") != "Table of Contents":
                yield from _shown(content, *names)
        elif name == "AlternateContent":
            yield from _shown(shown_branch(element), *names)
        elif name in _TRANSPARENT:
            yield from _shown(element, *names)
