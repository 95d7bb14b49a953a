"""Lines of the pages to paragraphs, items and tables, which go on over columns and pages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from kotaemon_node.adapters.documents.parsed import PageStart
from kotaemon_node.adapters.documents.pdf_aligned import aligned_table
from kotaemon_node.adapters.documents.pdf_layout import Line, columns_of
from kotaemon_node.adapters.documents.pdf_ruled import RuledTable
from kotaemon_node.adapters.documents.pdf_words import Words

_STEP_WIDER: Final = 1.28  # than usual: a gap between paragraphs
_STEP_MAX: Final = 2.4  # in heights of a line: also text of double spacing is nearer
_INDENT_EM: Final = 0.8
_LIKE: Final = 0.08  # sizes that differ by less look the same
_NEIGHBOURS: Final = 6  # lines around one that show where the margin is
_NOTE_PARAGRAPHS_MAX: Final = 6  # of footnotes between the parts of a paragraph
_MARGIN_COLUMNS: Final = 60  # as in domain.sentences: a shorter line was ended on purpose
_TAIL_CHARS: Final = 100  # a paragraph may be a thousand pages, and its end is asked for on each
_ENDED: Final = re.compile(r"[.!?。！？；;:：…][\"'”’)）」』\]]*$")
_ITEM: Final = re.compile(
    r"[•‣▪◦■□☐☑☒✓✔–*·●-]\s|\(?\d{1,3}[.)、]\s?(?!\d)|\(?[a-zA-Z][.)]\s|\(?[ivx]{1,4}[.)]\s|[（(][一二三四五六七八九十]+[）)]"
)
_LISTED: Final = re.compile(r"(?:[•‣▪●*-]|\(?\d{1,3}[.)、])\s")


@dataclass(slots=True)
class Paragraph:
    """Text of one or more lines, with the pages that begin inside it."""

    text: str
    page: int
    size: float
    bold: bool
    first: Line
    last: Line
    pages: list[PageStart] = field(default_factory=list)
    lines: int = 1
    full: bool = True
    """Whether the last line had no room for another word."""

    @property
    def listed(self) -> bool:
        """Whether it is an item that may share a block with the next one, a line each."""
        return _LISTED.match(self.text) is not None


@dataclass(slots=True)
class TablePart:
    """Rows of a table, and the page of each."""

    rows: list[list[str]]
    pages: list[int]
    has_header: bool


Piece = Paragraph | TablePart


class Flow:
    """Takes pages in order and keeps what they say as paragraphs and tables."""

    def __init__(self, words: Words) -> None:
        self.pieces: list[Piece] = []
        self._words = words

    def add_page(self, number: int, lines: Sequence[Line], tables: Sequence[RuledTable]) -> None:
        """Take the lines of page ``number`` in reading order, and the tables that they name."""
        steps = _usual_steps(lines)
        at = 0
        begun = len(self.pieces)
        while at < len(lines):
            line = lines[at]
            if line.table is not None:
                table = tables[line.table]
                self._add_table(table.rows, number, has_header=table.has_header, begun=begun)
                at += 1
            elif (found := aligned_table(lines[at:])) is not None:
                self._add_table(found.rows, number, has_header=found.has_header, begun=begun)
                at += found.lines
            else:
                self._add_line(lines, at, number, steps, begun=begun)
                at += 1

    def _add_table(
        self, rows: list[list[str]], number: int, *, has_header: bool, begun: int
    ) -> None:
        last = self.pieces[-1] if self.pieces else None
        # A table at the head of a page that looks like the one at the foot of the page before.
        goes_on = (
            len(self.pieces) == begun
            and isinstance(last, TablePart)
            and len(last.rows[0]) == len(rows[0])
            and (not has_header or rows[0] == last.rows[0])
        )
        if goes_on and isinstance(last, TablePart):
            further = rows[1:] if has_header else rows
            last.rows.extend(further)
            last.pages.extend([number] * len(further))
        else:
            self.pieces.append(TablePart(rows, [number] * len(rows), has_header))

    def _add_line(
        self, lines: Sequence[Line], at: int, number: int, steps: dict[float, float], *, begun: int
    ) -> None:
        line = lines[at]
        above = lines[at - 1] if at else None
        last = self.pieces[-1] if self.pieces else None
        within = isinstance(last, Paragraph) and len(self.pieces) > begun and last.last is above
        if within and isinstance(last, Paragraph) and above is not None:
            margin = _margin(lines, at - 1)
            last.full = not _had_room(above, line, margin)
            if _goes_on(last, line, steps.get(above.size, 0.0)):
                self._append(last, line, number, broken=not last.full)
                return
        elif (earlier := self._open_end(line, within_page=len(self.pieces) > begun)) is not None:
            self._append(earlier, line, number, broken=False)
            if earlier is not last:
                self.pieces.remove(earlier)
                self.pieces.append(earlier)
            return
        self.pieces.append(Paragraph(line.text, number, line.size, line.bold, line, line))

    def _append(self, paragraph: Paragraph, line: Line, number: int, *, broken: bool) -> None:
        before = paragraph.text
        if broken:
            paragraph.text, begin = f"{before}\n{line.text}", len(before) + 1
        else:
            paragraph.text, begin = self._words.append(before, line.text)
        current = paragraph.pages[-1][1] if paragraph.pages else paragraph.page
        if number != current:
            paragraph.pages.append((begin, number))
        paragraph.last = line
        paragraph.lines += 1

    def _open_end(self, line: Line, *, within_page: bool) -> Paragraph | None:
        """Return the paragraph of the column or page before that goes on with ``line``."""
        if _ITEM.match(line.text):
            return None
        for back, piece in enumerate(reversed(self.pieces[-_NOTE_PARAGRAPHS_MAX:])):
            if isinstance(piece, TablePart):
                if within_page or back:
                    return None
                continue
            if _alike(piece.size, line.size) and piece.bold == line.bold:
                return piece if _may_go_on(piece, line) else None
            if piece.size > line.size:
                return None  # a heading ends what was before it
        return None


def _usual_steps(lines: Sequence[Line]) -> dict[float, float]:
    """Return the usual distance of lines of a size, in points."""
    steps: dict[float, list[float]] = {}
    for above, line in pairwise(lines):
        step = line.y1 - above.y1
        if above.region == line.region and above.size == line.size and step > 0:
            steps.setdefault(line.size, []).append(step)
    return {size: sorted(found)[len(found) // 4] for size, found in steps.items()}


def _margin(lines: Sequence[Line], at: int) -> float:
    """Return where lines around this one end at the right."""
    around = lines[max(at - _NEIGHBOURS, 0) : at + _NEIGHBOURS + 1]
    return max(it.x1 for it in around if it.region == lines[at].region and it.table is None)


def _had_room(line: Line, following: Line, margin: float) -> bool:
    """Tell whether the first word of the next line would have fitted on this one."""
    if line.text.endswith("-"):
        return False
    text = following.text
    word = text[0] if text[0] >= "\u2e80" else text.split(maxsplit=1)[0]
    letter = (following.x1 - following.x0) / max(columns_of(text), 1)
    return line.x1 + (columns_of(word) + 1) * letter < margin - 0.5 * line.size


def _goes_on(paragraph: Paragraph, line: Line, usual: float) -> bool:
    above = paragraph.last
    step = line.y1 - above.y1
    if line.region != above.region or not _alike(line.size, above.size):
        return False
    if line.bold != paragraph.bold or _ITEM.match(line.text):
        return False
    widest = min(max(_STEP_WIDER * usual, 1.0), _STEP_MAX * (above.y1 - above.y0))
    if not 0 < step <= widest:
        return False
    return _centred(above, line) or (_same_margin(paragraph, line) and _wrapped(paragraph))


def _same_margin(paragraph: Paragraph, line: Line) -> bool:
    """Tell whether a line is not moved in or out as the first line of a paragraph is."""
    indent = line.x0 - paragraph.last.x0
    if indent > _INDENT_EM * line.size:
        return paragraph.lines == 1 and _ITEM.match(paragraph.text) is not None
    return indent >= -_INDENT_EM * line.size or paragraph.lines == 1


def _wrapped(paragraph: Paragraph) -> bool:
    """Tell whether the last line goes on below, and be it as a line of an address or a poem."""
    if paragraph.full:
        return True
    short = columns_of(paragraph.last.text) < _MARGIN_COLUMNS
    return (
        short
        and not _ITEM.match(paragraph.text)
        and not _ENDED.search(paragraph.text[-_TAIL_CHARS:])
    )


def _centred(above: Line, line: Line) -> bool:
    middle = (line.x0 + line.x1) / 2
    return (
        abs(middle - (above.x0 + above.x1) / 2) < 0.3 * line.size
        and abs(line.x0 - above.x0) > _INDENT_EM * line.size
    )


def _may_go_on(paragraph: Paragraph, line: Line) -> bool:
    """Tell whether a paragraph at the foot of a page or column goes on with the next line."""
    if _ENDED.search(paragraph.text[-_TAIL_CHARS:]):
        return False
    first = line.text[0]
    if first.islower() or paragraph.text[-1] in ",，、-":
        return True
    room = paragraph.last.right - paragraph.last.x1
    return room < 4 * line.size and paragraph.lines > 1


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= _LIKE * max(one, other)
