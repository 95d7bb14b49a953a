"""A parsed document: blocks of plain text under headings, and the one text that they make.

The *canonical text* of a document is its blocks joined by blank lines. It holds no markup and no
invisible characters, and every span of the product counts code points in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from kotaemon_node.adapters.documents.visible import one_line, visible_text
from kotaemon_node.domain.errors import DocumentRefused

BlockKind = Literal["text", "table", "faq", "code", "heading"]

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
    header: str = ""
    """Of a table: the text of its header row, which is also its first line; "" when it has none."""


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
    """Collects the blocks of a document in reading order, under the headings met so far."""

    def __init__(self) -> None:
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

    def add(self, kind: BlockKind, text: str) -> None:
        """Add a block under the current headings; one without visible text is dropped."""
        self._append(kind, visible_text(text).strip("\n").rstrip())

    def faq(self, question: str, answer: str, tags: str) -> None:
        """Add an FAQ entry. Its tags stand above it like a heading, so that they can be found."""
        text = f"{one_line(visible_text(question))}\n{visible_text(answer).strip()}"
        under = one_line(visible_text(tags))[:HEADING_CHARS_MAX]
        self._blocks.append(Block("faq", text, (under,) if under else ()))

    def table(self, rows: Sequence[Sequence[str]], *, has_header: bool) -> None:
        """Add a table, row by row; cells become one line each."""
        lines = [line for row in rows if (line := _table_row(row))]
        if lines:
            header = lines[0] if has_header and len(lines) > 1 else ""
            self._append("table", "\n".join(lines), header=header)

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

    def _append(self, kind: BlockKind, text: str, *, header: str = "") -> None:
        if text.strip():
            path = tuple(title for _, title in self._path)
            self._blocks.append(Block(kind, text, path, header=header))


def _table_row(cells: Sequence[str]) -> str:
    texts = [one_line(visible_text(cell)) for cell in cells]
    return f"| {' | '.join(texts)} |" if any(texts) else ""
