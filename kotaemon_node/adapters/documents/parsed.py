"""A parsed document: blocks of plain text under headings, and the one text that they make.

The *canonical text* of a document is its blocks joined by blank lines. It holds no markup and no
invisible characters, and every span of the product counts code points in it.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from kotaemon_node.adapters.documents.visible import one_line, visible_text
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused

BlockKind = Literal["text", "table", "faq", "code", "heading"]
PageStart = tuple[int, int]
"""An offset into a block's text, and the number of the page that begins there."""

BLOCK_SEPARATOR: Final = "\n\n"
# A longer "heading" is a paragraph that somebody made large; repeated above every passage below it,
# it would outweigh them.
HEADING_CHARS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list, table, piece of code, FAQ entry or heading.

    A list has one item a line, a table one row a line (``| cell | cell |``). A ``faq`` block is the
    question on one line, and the answer below it.
    """

    kind: BlockKind
    text: str
    heading: tuple[str, ...] = ()
    """The headings above the block, outermost first; a heading is not above itself."""
    page: int | None = None
    """The page, slide or sheet where the block begins, counted from 1; None where there is none."""
    header: str = ""
    """Of a table: the text of its header row, which is also its first line; "" when it has none."""
    pages: tuple[PageStart, ...] = ()
    """Where in ``text`` further pages begin, increasing: a paragraph may go on on the next one."""

    def page_at(self, offset: int) -> int | None:
        """Return the page of the character at ``offset``, a code point of ``text``."""
        at = bisect_right(self.pages, offset, key=lambda start: start[0])
        return self.pages[at - 1][1] if at else self.page


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A title and blocks in reading order."""

    title: str
    blocks: tuple[Block, ...]

    def text(self) -> str:
        """Return the canonical text."""
        return BLOCK_SEPARATOR.join(block.text for block in self.blocks)

    def starts(self) -> Sequence[int]:
        """Return where each block begins in the canonical text."""
        starts: list[int] = []
        at = 0
        for block in self.blocks:
            starts.append(at)
            at += len(block.text) + len(BLOCK_SEPARATOR)
        return starts


class Outline:
    """Collects the blocks of a document in reading order, under the headings met so far.

    Blocks begin on the page ``page``, which the parser sets where its format has pages.
    """

    page: int | None

    def __init__(self) -> None:
        self.page = None
        self._chars = 0
        self._blocks: list[Block] = []
        self._path: list[tuple[int, str]] = []

    def heading(self, level: int, text: str) -> None:
        """Begin a section. ``level`` 1 is the outermost."""
        title = one_line(visible_text(text))
        if len(title) > HEADING_CHARS_MAX:
            self.add("text", title)
        elif title:
            while self._path and self._path[-1][0] >= level:
                self._path.pop()
            self._append("heading", title)
            self._path.append((level, title))

    def leave(self) -> None:
        """End all sections: what follows stands under no heading, as on a new slide."""
        self._path.clear()

    def add(self, kind: BlockKind, text: str, *, pages: Sequence[PageStart] = ()) -> None:
        """Add a block under the current headings; one without visible text is dropped.

        ``pages`` says at which offsets of ``text`` further pages begin; ``page`` is its first one.
        """
        shown = visible_text(text)
        kept = shown.strip("\n").rstrip()
        dropped = len(shown) - len(shown.lstrip("\n"))
        starts: list[PageStart] = []
        begin, length = 0, -dropped
        for at, page in pages:
            # From page to page, not from the beginning: a paragraph may go on over thousands.
            length += len(visible_text(text[begin:at]))
            begin = at
            starts.append((length, page))
        self._append(kind, kept, pages=starts)

    def faq(self, question: str, answer: str, tags: str, *, variants: Sequence[str] = ()) -> None:
        """Add an FAQ entry. Its tags stand above it like a heading, so that they can be found.

        ``variants`` are other ways to ask it; each is an entry of its own with the same answer.
        """
        under = one_line(visible_text(tags))[:HEADING_CHARS_MAX]
        for asked in (question, *variants):
            text = f"{one_line(visible_text(asked))}\n{visible_text(answer).strip()}"
            self._check(len(text))
            self._chars += len(text)
            self._blocks.append(Block("faq", text, (under,) if under else (), page=self.page))

    def table(
        self,
        rows: Sequence[Sequence[str]],
        *,
        has_header: bool,
        row_pages: Sequence[int] = (),
    ) -> None:
        """Add a table, row by row; cells become one line each.

        ``row_pages`` has the page of each row, for a table that goes on over a page's end.
        """
        paged: Sequence[int | None] = row_pages or [self.page] * len(rows)
        kept: list[tuple[str, int | None]] = []
        chars = 0
        for row, page in zip(rows, paged, strict=True):
            if line := _table_row(row):
                kept.append((line, page))
                chars += len(line)
                # Already here: merged cells are repeated, and unfold to any length.
                self._check(chars)
        if kept:
            lines = [line for line, _ in kept]
            header = lines[0] if has_header and len(lines) > 1 else ""
            starts = list(_page_starts(kept)) if row_pages else []
            first, further = (starts[0][1], starts[1:]) if starts else (self.page, [])
            self._append("table", "\n".join(lines), header=header, page=first, pages=further)

    def first_heading(self) -> str:
        """Return the first heading of all, or ""."""
        return next((block.text for block in self._blocks if block.kind == "heading"), "")

    def document(self, title: str) -> ParsedDocument:
        """Return what was collected. Raises ``DocumentRefused`` when there is no text."""
        if not self._blocks:
            raise DocumentRefused("there is no text in it")
        return ParsedDocument(
            one_line(visible_text(title))[:HEADING_CHARS_MAX], tuple(self._blocks)
        )

    def _check(self, more: int) -> None:
        """Refuse a document of which ``more`` characters are too much."""
        if self._chars + more > limits.DOCUMENT_CHARS_MAX:
            raise DocumentRefused(
                f"its text is over the limit of {limits.DOCUMENT_CHARS_MAX:,} characters"
            )

    def _append(
        self,
        kind: BlockKind,
        text: str,
        *,
        header: str = "",
        page: int | None = None,
        pages: Sequence[PageStart] = (),
    ) -> None:
        if text.strip():
            self._check(len(text))
            self._chars += len(text)
            path = tuple(title for _, title in self._path)
            first = self.page if page is None else page
            inside: list[PageStart] = []
            for start in pages:
                if start[0] <= 0:
                    first = start[1]
                elif start[0] < len(text):
                    inside.append(start)
            self._blocks.append(
                Block(kind, text, path, page=first, header=header, pages=tuple(inside))
            )


def _page_starts(lines: Sequence[tuple[str, int | None]]) -> Iterator[PageStart]:
    at = 0
    last: int | None = None
    for line, page in lines:
        if page is not None and page != last:
            yield at, page
            last = page
        at += len(line) + 1


def _table_row(cells: Sequence[str]) -> str:
    texts = [one_line(visible_text(cell)) for cell in cells]
    return f"| {' | '.join(texts)} |" if any(texts) else ""
