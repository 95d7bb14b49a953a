"""Running headers, footers and page numbers: lines that stand at one place of page after page."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.adapters.documents.pdf_layout import Line
from kotaemon_node.adapters.documents.pdf_ruled import RuledTable

_ROWS_MAX: Final = 3  # at the head or foot of a page
_SHARE_MIN: Final = 0.3  # of the pages of a short document: left and right ones may differ
_PAGES_MIN: Final = 3
_LONG_SHARE_MIN: Final = 0.1  # of a long one, where each chapter may have its own
_SHORT_PAGES: Final = 6
_SAME_ROW_POINTS: Final = 4.0
_CHARS_MAX: Final = 100  # a longer line is one of a paragraph
_NUMBER: Final = re.compile(r"\d+|\b[ivxlc]+\b")
_LETTERS: Final = re.compile(r"[^\W\d_]")

_Key = tuple[bool, str]
"""Whether a line stands at the head, and its text without its numbers."""


@dataclass(slots=True)
class PageLines:
    """What was read of one page: its number, its lines in reading order, its edges."""

    number: int
    lines: list[Line]
    tables: list[RuledTable]
    top: float
    bottom: float


def without_running(pages: Sequence[PageLines]) -> None:
    """Take the lines that repeat out of ``pages``.

    A header stays on the first page, where it may be the title, and a footer on the last one, where
    it interrupts nothing; page numbers go everywhere.
    """
    found: Counter[_Key] = Counter()
    for page in pages:
        found.update({key for _, key in _outer(page, len(pages))})
    if len(pages) < _SHORT_PAGES:
        least = max(2, round(_SHARE_MIN * len(pages)))
    else:
        least = max(_PAGES_MIN, round(_LONG_SHARE_MIN * len(pages)))
    for at, page in enumerate(pages):
        dropped = {
            id(line)
            for line, (head, text) in _outer(page, len(pages))
            if found[head, text] >= least
            and not (at == (0 if head else len(pages) - 1) and _LETTERS.search(text))
        }
        page.lines = [line for line in page.lines if id(line) not in dropped]


def _outer(page: PageLines, pages: int) -> list[tuple[Line, _Key]]:
    """Return the lines at the head and the foot, each with where it is and what it says.

    Numbers count as equal. What is nothing but numbers may be the end of a table: of that only the
    outermost row counts. Of few pages more rows may be alike for other reasons.
    """
    lines = [line for line in page.lines if line.table is None]
    heights = sorted({round(line.y0 / _SAME_ROW_POINTS) for line in lines})
    rank = {height: at for at, height in enumerate(heights)}
    outer: list[tuple[Line, _Key]] = []
    for line in lines:
        at = rank[round(line.y0 / _SAME_ROW_POINTS)]
        text = _NUMBER.sub("#", line.text.lower())
        rows = _ROWS_MAX if _LETTERS.search(text) and pages >= _SHORT_PAGES else 1
        if len(text) > _CHARS_MAX:
            continue
        if at < min(rows, (len(heights) + 1) // 2):
            outer.append((line, (True, text)))
        elif at >= len(heights) - rows:
            outer.append((line, (False, text)))
    return outer
