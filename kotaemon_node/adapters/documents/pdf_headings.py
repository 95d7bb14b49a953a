"""Which paragraphs of a PDF are headings, of what level: by its bookmarks, else by their looks."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.adapters.documents.parsed import HEADING_CHARS_MAX
from kotaemon_node.adapters.documents.pdf_flow import Paragraph, Piece, TablePart

_LARGER: Final = 1.15  # than the text, to be a heading by size alone
_LINES_MAX: Final = 3
_BOLD_CHARS_MAX: Final = 120
_LEVEL_MAX: Final = 6
_CLOSED: Final = re.compile(r"[.,;:，。；：、]$")
_SPEAKS: Final = re.compile(r"[^\W\d_]{3}|[\u2e80-\u9fff]{2}")
_LIST_MARK: Final = re.compile(r"[•‣▪◦■□●]|\(?[a-z][.)]\s")
_NOT_LETTERS: Final = re.compile(r"[\W_]+")

_Looks = tuple[float, bool]


@dataclass(frozen=True, slots=True)
class Bookmark:
    """An entry of the outline: its level from 1 and its page from 1."""

    level: int
    title: str
    page: int


def heading_levels(pieces: Sequence[Piece], bookmarks: Iterable[Bookmark]) -> dict[int, int]:
    """Return the level of each piece (by its place) that is a heading."""
    marked = _marked(pieces, bookmarks)
    body = _body(pieces)
    looking = {
        at: _looks(piece)
        for at, piece in enumerate(pieces)
        if isinstance(piece, Paragraph) and at not in marked and _is_heading(piece, body)
    }
    of_marked: dict[_Looks, Counter[int]] = {}
    for at, level in marked.items():
        piece = pieces[at]
        if isinstance(piece, Paragraph):
            of_marked.setdefault(_looks(piece), Counter())[level] += 1
    deepest = max(marked.values(), default=0)
    others = sorted({looks for looks in looking.values() if looks not in of_marked}, reverse=True)
    level_of = {looks: deepest + 1 + rank for rank, looks in enumerate(others)}
    level_of.update({looks: levels.most_common(1)[0][0] for looks, levels in of_marked.items()})
    found = marked | {at: level_of[looks] for at, looks in looking.items()}
    return {at: min(level, _LEVEL_MAX) for at, level in found.items()}


def _marked(pieces: Sequence[Piece], bookmarks: Iterable[Bookmark]) -> dict[int, int]:
    by_page: dict[int, list[tuple[str, int]]] = {}
    for bookmark in bookmarks:
        if title := _plain(bookmark.title):
            by_page.setdefault(bookmark.page, []).append((title, bookmark.level))
    marked: dict[int, int] = {}
    for at, piece in enumerate(pieces):
        if isinstance(piece, TablePart) or piece.lines > _LINES_MAX:
            continue
        text = _plain(piece.text[: 2 * HEADING_CHARS_MAX])
        for entry in by_page.get(piece.page, ()):
            # A bookmark may leave out the number that the page shows, or the other way round.
            title, level = entry
            longer, shorter = (text, title) if len(text) >= len(title) else (title, text)
            if shorter and longer.endswith(shorter) and len(longer) - len(shorter) <= 10:
                marked[at] = level
                by_page[piece.page].remove(entry)
                break
    return marked


def _plain(text: str) -> str:
    return _NOT_LETTERS.sub("", text).casefold()


def _body(pieces: Sequence[Piece]) -> _Looks:
    """Return how most of the text looks."""
    looks: Counter[_Looks] = Counter()
    for piece in pieces:
        if isinstance(piece, Paragraph):
            looks[_looks(piece)] += len(piece.text)
    return looks.most_common(1)[0][0] if looks else (0.0, False)


def _looks(piece: Paragraph) -> _Looks:
    return round(piece.size * 2) / 2, piece.bold


def _is_heading(piece: Paragraph, body: _Looks) -> bool:
    size, bold = body
    text = piece.text
    if piece.lines > _LINES_MAX or len(text) > HEADING_CHARS_MAX or _LIST_MARK.match(text):
        return False
    if not _SPEAKS.search(text) or len(piece.first.cells) > 2:
        return False
    if piece.size >= _LARGER * size:
        return _CLOSED.search(text) is None or piece.size >= 1.4 * size
    return (
        piece.bold
        and not bold
        and piece.size >= 0.95 * size
        and len(text) <= _BOLD_CHARS_MAX
        and _CLOSED.search(text) is None
    )
