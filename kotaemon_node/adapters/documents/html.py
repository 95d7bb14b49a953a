"""HTML to blocks: headings, paragraphs, lists, tables and code; nothing that a reader can't see."""

import re
import warnings
from typing import Final

from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning
from bs4.element import Tag

from kotaemon_node.adapters.documents.html_shown import (
    BLOCKS,
    LINES,
    Steps,
    shown_text,
    unseen,
)
from kotaemon_node.adapters.documents.html_tables import caption_of, is_data_table, table_rows
from kotaemon_node.adapters.documents.lists import ListMarks
from kotaemon_node.adapters.documents.parsed import Outline, ParsedDocument
from kotaemon_node.adapters.documents.visible import one_line
from kotaemon_node.domain.errors import DocumentRefused

_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_LINE_BREAK: Final = "\v"
# The tree builder needs time that grows with the square of the depth: a minute for 200,000 levels.
# Tags that may stay open by the rules of HTML (p, li, td…) make no depth and are not counted.
_DEPTH_MAX: Final = 2_000
_NESTING_TAG: Final = re.compile(
    r"<(/?)(?:div|span|ul|ol|dl|table|b|i|u|a|em|strong|font|small|big|sub|sup|section|article|main"
    r"|aside|blockquote|figure|center|details|fieldset|form|q|s|code|tt|ins|del|mark|label|abbr"
    r"|object|svg|g|math|mrow|custom[\w-]*|[a-z]+-[\w-]+)\b([^<>]*+)",
    re.IGNORECASE,
)
# The slash must not be the end of a value without quotes: <a href=docs/> stays open.
_SELF_CLOSED: Final = re.compile(r"""(?:\A|[^=\s]\s+|=\s*"[^"]*"|=\s*'[^']*')/\Z""")
_START: Final = re.compile(r"\d{1,9}")


def parse_html(text: str, *, name: str) -> ParsedDocument:
    """Return the document; its title is its first h1, else its ``title`` or ``name``.

    Raises ``DocumentRefused`` with the reason.
    """
    soup = _soup(text)
    outline = Outline()
    reader = _Reader(outline)
    reader.read(soup)
    title = soup.find("title")
    named = one_line(title.get_text(" ")) if isinstance(title, Tag) else ""
    return outline.document(reader.top or named or name)


def add_html(outline: Outline, fragment: str) -> None:
    """Add what a piece of HTML shows."""
    _Reader(outline).read(_soup(fragment))


def _soup(text: str) -> BeautifulSoup:
    if _too_deep(text):
        raise DocumentRefused(f"its elements are nested more than {_DEPTH_MAX:,} levels deep")
    with warnings.catch_warnings():
        # A page that says it is XML is read as what browsers make of it.
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        return BeautifulSoup(text, "lxml")


def _too_deep(text: str) -> bool:
    depth = 0
    for match in _NESTING_TAG.finditer(text):
        rest = match.group(2)
        if rest.endswith("/") and _SELF_CLOSED.search(rest):
            continue
        depth = max(depth - 1, 0) if match.group(1) else depth + 1
        if depth > _DEPTH_MAX:
            return True
    return False


class _Reader:
    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._marks = ListMarks()
        self._inline: list[str] = []
        self._lines: list[str] = []
        self.top = ""
        """The first heading of the first level that is shown, or ""."""

    def read(self, soup: BeautifulSoup) -> None:
        steps = Steps(soup)
        for kind, node in steps:
            if not isinstance(node, Tag):
                self._inline.append(str(node))
            elif kind == "close":
                self._close(node)
            elif self._whole(node):
                steps.skip()
            else:
                self._open(node)
        self._end_block()

    def _whole(self, tag: Tag) -> bool:
        """Take ``tag`` with all inside it as one block or drop it; False: it has to be entered."""
        if unseen(tag):
            return True
        if tag.name in _HEADINGS:
            self._end_block()
            text = one_line(shown_text(tag))
            self._outline.heading(_HEADINGS[tag.name], text)
            if tag.name == "h1":
                self.top = self.top or text
        elif tag.name == "pre":
            self._end_block()
            self._outline.add("code", shown_text(tag, line_end="\n"))
        elif tag.name == "table" and is_data_table(tag):
            self._end_block()
            rows, has_header = table_rows(tag)
            self._outline.add("text", caption_of(tag))
            self._outline.table(rows, has_header=has_header)
        else:
            return False
        return True

    def _open(self, tag: Tag) -> None:
        self._boundary(tag)
        if tag.name in {"ul", "ol"}:
            self._end_line()
            self._marks.open_list(_start(tag) if tag.name == "ol" else None)
        elif tag.name == "li":
            self._marks.open_item()
        elif tag.name == "br":
            self._inline.append(_LINE_BREAK)
        elif tag.name == "img":
            self._inline.append(f" {tag.get('alt') or ''} ")

    def _close(self, tag: Tag) -> None:
        if tag.name in {"ul", "ol"}:
            self._end_line()
            self._marks.close_list()
            if not self._marks.inside:
                self._end_block()
        self._boundary(tag)

    def _boundary(self, tag: Tag) -> None:
        if tag.name in LINES or (tag.name in BLOCKS and self._marks.inside):
            self._end_line()
        elif tag.name in BLOCKS:
            self._end_block()

    def _end_line(self) -> None:
        text = "".join(self._inline)
        self._inline = []
        lines = [line for part in text.split(_LINE_BREAK) if (line := one_line(part))]
        self._lines.extend(self._marks.marked(lines) if self._marks.inside else lines)

    def _end_block(self) -> None:
        self._end_line()
        if self._lines:
            self._outline.add("text", "\n".join(self._lines))
            self._lines = []


def _start(ordered: Tag) -> int:
    """Return the number of the first item of a list."""
    found = _START.fullmatch(str(ordered.get("start") or ""))
    return int(found.group()) if found else 1
