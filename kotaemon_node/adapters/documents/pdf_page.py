"""What stands on one page of a PDF: runs of text and ruling lines, each with its place.

Places are in points, seen by somebody who reads the text: ``x`` grows along a line and ``y`` from
line to line, however the page or its text is turned. Only differences between them mean anything.
"""

import ctypes
import math
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Final

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from kotaemon_node.adapters.documents import pdf_calls as calls
from kotaemon_node.adapters.documents.pdf_rules import Box, Rules, read_rules
from kotaemon_node.domain import limits

_BLANKS: Final = frozenset(" \t\u00a0\u3000")
_BREAKS: Final = frozenset((0x0A, 0x0D))
_LINE_END_HYPHEN: Final = 0x02  # pdfium's sign for a hyphen behind which a line ends
_BOLD_WEIGHT: Final = 600
_BOLD_NAMES: Final = ("bold", "black", "heavy", "demi")
_FORCE_BOLD_FLAG: Final = 1 << 18
_INVISIBLE_MODE: Final = 3
_FONT_NAME_BYTES: Final = 200
_MIRRORED: Final = 4
_HEBREW: Final = "\u0590"  # before it no letter is written from the right
# Wider than the gap between words, also of justified lines; runs of one line are joined later.
_GAP_EM: Final = 1.0


@dataclass(frozen=True, slots=True)
class Style:
    """How characters look: their size in points, and whether they are bold."""

    size: float
    bold: bool
    visible: bool = True
    quarter: int = 0
    """By how many right angles the text is turned clockwise; 4 more where it is mirrored."""


@dataclass(slots=True)
class Run:
    """Characters that follow each other on one line in one style.

    ``text`` may begin or end with a blank. ``places`` has the middle of each character.
    """

    text: str
    x0: float
    x1: float
    y0: float
    y1: float
    style: Style
    places: list[float] = field(default_factory=list)
    right_to_left: bool = False
    table: int | None = None
    """The number of the ruled table whose place this is; it has no text then."""

    @property
    def middle(self) -> float:
        """Half way between its upper and lower edge."""
        return (self.y0 + self.y1) / 2


@dataclass(frozen=True, slots=True)
class PageContent:
    """Runs in the order in which the page draws them, the lines that it rules, and its edges."""

    runs: list[Run]
    rules: Rules
    turned: list[Run]
    """Runs that are turned against most of the page, as on the side of a drawing."""
    top: float
    bottom: float
    pictures: int


def read_page(page: Any) -> PageContent:
    """Return what is on a page. Raises ``PdfiumError`` where it cannot be read."""
    bounds = page.get_bbox()
    textpage = page.get_textpage()
    try:
        if textpage.count_chars() > limits.PDF_PAGE_CHARS_MAX:
            raise pdfium.PdfiumError("too many characters")
        reader = _Reader(textpage, bounds)
        by_quarter = reader.read()
    finally:
        textpage.close()
    drawn = read_rules(page)
    runs = {
        quarter: [run for run in runs if run.style.visible or _over(run, quarter, drawn.pictures)]
        for quarter, runs in by_quarter.items()
    }
    main = max(runs, key=lambda quarter: sum(len(run.text) for run in runs[quarter]), default=0)
    edges = turned_box(bounds, main)
    return PageContent(
        runs=runs.get(main, []),
        rules=drawn.turned(lambda box: turned_box(box, main)),
        turned=[run for quarter, rest in runs.items() if quarter != main for run in rest],
        top=edges[1],
        bottom=edges[3],
        pictures=len(drawn.pictures),
    )


def turned_box(box: Box, quarter: int) -> Box:
    """Return the ``(x0, y0, x1, y1)`` of a box (left, bottom, right, top) of the page.

    Both ``x`` grow along text that is turned by ``quarter``, both ``y`` downwards from its lines.
    """
    left, bottom, right, top = box
    x0, y0, x1, y1 = {
        0: (left, -top, right, -bottom),
        1: (-top, -right, -bottom, -left),
        2: (-right, bottom, -left, top),
        3: (bottom, left, top, right),
    }[quarter % 4]
    return (x0, -y1, x1, -y0) if quarter >= _MIRRORED else (x0, y0, x1, y1)


def _over(run: Run, quarter: int, pictures: list[Box]) -> bool:
    """Tell whether invisible text stands over a picture: then it says what is written there."""
    x, y = (run.x0 + run.x1) / 2, run.middle
    boxes = (turned_box(box, quarter) for box in pictures)
    return any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in boxes)


class _Reader:
    """Walks over the characters of one page in pdfium's order, which is that of reading a line."""

    def __init__(self, textpage: Any, bounds: Box) -> None:
        self._count = textpage.count_chars()
        self._textpage = calls.address(textpage.raw)
        self._bounds = bounds
        self._runs: dict[int, list[Run]] = {}
        self._run: Run | None = None
        self._chars: list[str] = []
        self._object = 0
        self._style = Style(1.0, bold=False)
        self._bold: dict[int, bool] = {}

    def read(self) -> dict[int, list[Run]]:
        """Return the runs by the number of right angles by which they are turned."""
        textpage, rect = self._textpage, pdfium_c.FS_RECTF()
        place = ctypes.byref(rect)
        high = 0
        for index in range(self._count):
            code = calls.unicode_of(textpage, index)
            if 0xD800 <= code < 0xDC00:
                high = code
                continue
            if high and 0xDC00 <= code < 0xE000:
                code = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)
            high = 0
            if code in _BREAKS:
                self._flush()
                continue
            if code == 0 or code > 0x10FFFF:
                continue
            char = "-" if code == _LINE_END_HYPHEN else chr(code)
            if char in _BLANKS:
                self._blank()
            elif calls.box_of(textpage, index, place):
                self._take(index, char, (rect.left, rect.bottom, rect.right, rect.top))
        self._flush()
        return self._runs

    def _take(self, index: int, char: str, box: Box) -> None:
        left, bottom, right, top = self._bounds
        if not (left <= (box[0] + box[2]) / 2 <= right and bottom <= (box[1] + box[3]) / 2 <= top):
            return  # beside the page, where no reader sees it
        style = self._style_of(index)
        x0, y0, x1, y1 = turned_box(box, style.quarter) if style.quarter else _upright(box)
        right_to_left = char >= _HEBREW and unicodedata.bidirectional(char) in {"R", "AL"}
        run = self._run
        if run is None or not _goes_on(run, style, (x0, y0, x1, y1), right_to_left):
            self._flush()
            run = self._run = Run("", x0, x1, y0, y1, style)
        self._chars.append(char)
        run.places.append((x0 + x1) / 2)
        run.x0, run.x1 = min(run.x0, x0), max(run.x1, x1)
        run.y0, run.y1 = min(run.y0, y0), max(run.y1, y1)
        run.right_to_left |= right_to_left

    def _blank(self) -> None:
        if self._run is not None and self._chars[-1] != " ":
            self._chars.append(" ")
            self._run.places.append(self._run.places[-1])

    def _flush(self) -> None:
        if self._run is not None:
            self._run.text = "".join(self._chars)
            self._runs.setdefault(self._run.style.quarter, []).append(self._run)
        self._run = None
        self._chars = []

    def _style_of(self, index: int) -> Style:
        """Return the style of a character; those of one text object share it."""
        shown = calls.object_of(self._textpage, index)
        if not shown or shown == self._object:
            return self._style
        self._object = shown
        size, quarter = calls.font_size_of(self._textpage, index), 0
        matrix = pdfium_c.FS_MATRIX()
        if calls.matrix_of(self._textpage, index, ctypes.byref(matrix)):
            a, b, c, d = matrix.a, matrix.b, matrix.c, matrix.d
            # A negative size turns text upside down, as a matrix may; both together do nothing.
            sign = -1 if size < 0 else 1
            size *= math.hypot(c, d)
            if b or a * sign < 0:
                quarter = round(math.atan2(-b * sign, a * sign) / (math.pi / 2)) % 4
            if a * d < b * c:
                quarter += _MIRRORED
        font = calls.font_of(shown)
        if font not in self._bold:
            self._bold[font] = self._is_bold(index)
        size = round(max(abs(size), 0.1), 1)
        visible = calls.render_mode_of(shown) != _INVISIBLE_MODE
        last = self._style
        if (size, self._bold[font], visible, quarter) != (
            last.size,
            last.bold,
            last.visible,
            last.quarter,
        ):
            self._style = Style(size, self._bold[font], visible, quarter)
        return self._style

    def _is_bold(self, index: int) -> bool:
        name, flags = ctypes.create_string_buffer(_FONT_NAME_BYTES), ctypes.c_int()
        calls.font_info_of(self._textpage, index, name, _FONT_NAME_BYTES - 1, ctypes.byref(flags))
        told = name.value.decode("utf-8", "replace").lower()
        return (
            any(sign in told for sign in _BOLD_NAMES)
            or bool(flags.value & _FORCE_BOLD_FLAG)
            or calls.font_weight_of(self._textpage, index) >= _BOLD_WEIGHT
        )


def _upright(box: Box) -> Box:
    return box[0], -box[3], box[2], -box[1]


def _goes_on(run: Run, style: Style, box: Box, right_to_left: bool) -> bool:
    x0, y0, x1, y1 = box
    same = style is run.style or style == run.style
    if not same or abs((y0 + y1) / 2 - run.middle) > (y1 - y0) / 2:
        return False
    if right_to_left or run.right_to_left:
        return True  # its characters come in the order of reading, not in that of their places
    return -style.size < x0 - run.x1 < _GAP_EM * style.size or run.x0 <= x0 <= run.x1 >= x1
