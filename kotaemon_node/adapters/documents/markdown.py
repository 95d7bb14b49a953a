"""Markdown (CommonMark with tables) to blocks, with the HTML that stands inside it."""

import re
from collections.abc import Sequence
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from kotaemon_node.adapters.documents.html import add_html
from kotaemon_node.adapters.documents.lists import ListMarks
from kotaemon_node.adapters.documents.parsed import Outline, ParsedDocument
from kotaemon_node.adapters.documents.visible import one_line, visible_text

# The default of 20 drops what is nested deeper. Inline marks are read by ``_marks_of``.
_PARSER: Final = (
    MarkdownIt("commonmark", {"maxNesting": 100})
    .enable(["table", "strikethrough"])
    .disable("inline")
)
# Finding the marks of a paragraph may take time that grows with the square of its length: a minute
# for 100,000 brackets. A longer "paragraph" is no writer's, and is taken as it stands.
_PARAGRAPH_CHARS_MAX: Final = 10_000
_FRONT_MATTER: Final = re.compile(
    r"\A\s*---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL
)
_FRONT_TITLE: Final = re.compile(r"^title:[ \t]*(.+)$", re.MULTILINE)
# Between two lines across the page may stand text, which is nobody's front matter.
_FRONT_KEY: Final = re.compile(r"\s*(?:#[^\n]*\n\s*)*[\w\"'-][^:\n]*:(?:\s|$)")
# Calls of a site generator's templates: {{< tabs >}}, {{% note %}}.
_TEMPLATE_CALL: Final = re.compile(r"\{\{[<%][^{}]*[>%]\}\}")
_LINE_BREAK: Final = "\v"


def parse_markdown(text: str, *, name: str) -> ParsedDocument:
    """Return the document; its title is in its front matter, else its first heading or ``name``."""
    body = visible_text(text)
    front = _FRONT_MATTER.match(body)
    if front and front.group(1).strip() and not _FRONT_KEY.match(front.group(1)):
        front = None
    titles = _FRONT_TITLE.findall(front.group(1)) if front else []
    outline = Outline()
    links: dict[str, Any] = {}
    tokens = _PARSER.parse(body[front.end() :] if front else body, links)
    _Reader(outline, links).read(tokens)
    title = titles[0].strip().strip("\"'") if titles else ""
    return outline.document(title or outline.first_heading() or name)


class _Reader:
    """Walks the flat list of markdown-it's tokens."""

    def __init__(self, outline: Outline, links: dict[str, Any]) -> None:
        self._outline = outline
        self._links = links
        self._marks = ListMarks()
        self._list_lines: list[str] = []
        self._rows: list[list[str]] = []
        self._heading_level = 0

    def read(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            if token.type == "inline":
                self._inline(token)
            elif token.type in {"fence", "code_block"}:
                self._end_list()
                self._outline.add("code", token.content)
            elif token.type == "html_block":
                self._end_list()
                add_html(self._outline, token.content)
            else:
                self._structure(token)
        self._end_list()

    def _structure(self, token: Token) -> None:
        kind, _, side = token.type.rpartition("_")
        if kind in {"bullet_list", "ordered_list", "list_item"}:
            self._list(token, opens=side == "open")
        elif kind == "heading":
            self._end_list()
            self._heading_level = int(token.tag[1]) if side == "open" else 0
        elif token.type == "table_open":
            self._end_list()
        elif token.type == "tr_open":
            self._rows.append([])
        elif token.type == "table_close":
            self._outline.table(self._rows, has_header=True)
            self._rows = []

    def _list(self, token: Token, *, opens: bool) -> None:
        if token.tag == "li":
            if opens:
                self._marks.open_item()
        elif opens:
            number = int(token.attrs.get("start", 1)) if token.tag == "ol" else None
            self._marks.open_list(number)
        else:
            self._marks.close_list()
            if not self._marks.inside:
                self._end_list()

    def _inline(self, token: Token) -> None:
        text = _TEMPLATE_CALL.sub("", _plain(self._marks_of(token.content)))
        lines = [line for part in text.split(_LINE_BREAK) if (line := one_line(part))]
        if self._heading_level:
            self._outline.heading(self._heading_level, " ".join(lines))
        elif self._rows:
            self._rows[-1].append(" ".join(lines))
        elif self._marks.inside:
            self._list_lines.extend(self._marks.marked(lines))
        elif lines:
            self._outline.add("text", "\n".join(lines))

    def _marks_of(self, paragraph: str) -> Sequence[Token]:
        if len(paragraph) > _PARAGRAPH_CHARS_MAX:
            return [Token("text", "", 0, content=paragraph)]
        return _PARSER.inline.parse(paragraph, _PARSER, self._links, [])

    def _end_list(self) -> None:
        """Make the list so far a block; what interrupts it stands between its halves."""
        if self._list_lines:
            self._outline.add("text", "\n".join(self._list_lines))
            self._list_lines = []


def _plain(tokens: Sequence[Token]) -> str:
    parts: list[str] = []
    for token in tokens:
        if token.type in {"text", "code_inline", "text_special"}:
            parts.append(token.content)
        elif token.type == "softbreak":
            parts.append("\n")
        elif token.type == "hardbreak" or token.content.lower().startswith("<br"):
            parts.append(_LINE_BREAK)
        elif token.type == "image":
            parts.append(_plain(token.children or []))
    return "".join(parts)
