"""The ruling lines and pictures that a page of a PDF draws, in the coordinates of the page."""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pypdfium2.raw as pdfium_c

from kotaemon_node.domain import limits

Box = tuple[float, float, float, float]
"""Left, bottom, right, top; all in points."""
_Matrix = tuple[float, float, float, float, float, float]

_WHOLE: Final[_Matrix] = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
_THIN: Final = 2.5  # points; a drawn line or a narrow filled rectangle
_LENGTH_MIN: Final = 6.0
_FORM_DEPTH_MAX: Final = 8
_PALE_MIN: Final = 200  # of 255, by the darkest of the three colours
_OPAQUE_MIN: Final = 40  # of 255


@dataclass(frozen=True, slots=True)
class Rules:
    """Boxes of horizontal and vertical lines, and of pictures."""

    across: list[Box] = field(default_factory=list)
    down: list[Box] = field(default_factory=list)
    pictures: list[Box] = field(default_factory=list)

    def turned(self, turn: Callable[[Box], Box]) -> "Rules":
        """Return them in the coordinates of a reader of turned text."""
        lines = [turn(box) for box in (*self.across, *self.down)]
        return Rules(
            across=[box for box in lines if box[2] - box[0] >= box[3] - box[1]],
            down=[box for box in lines if box[2] - box[0] < box[3] - box[1]],
            pictures=[turn(box) for box in self.pictures],
        )


def read_rules(page: Any) -> Rules:
    """Return what a page rules; a drawing of very many lines rules no table and gives none."""
    rules = Rules()
    for looked, (shape, matrix) in enumerate(_objects(page, _WHOLE, 0)):
        kind = pdfium_c.FPDFPageObj_GetType(shape)
        if kind == pdfium_c.FPDF_PAGEOBJ_IMAGE:
            rules.pictures.extend(_bounds(shape, matrix))
        elif kind == pdfium_c.FPDF_PAGEOBJ_PATH:
            _add_path(rules, shape, matrix)
        if looked >= limits.PDF_PAGE_OBJECTS_MAX:
            return Rules(pictures=rules.pictures)
    return rules


def _objects(parent: Any, matrix: _Matrix, depth: int) -> Iterator[tuple[Any, _Matrix]]:
    count, get = (
        (pdfium_c.FPDFFormObj_CountObjects, pdfium_c.FPDFFormObj_GetObject)
        if depth
        else (pdfium_c.FPDFPage_CountObjects, pdfium_c.FPDFPage_GetObject)
    )
    for number in range(max(count(parent), 0)):
        shape = get(parent, number)
        if not shape:
            continue
        if pdfium_c.FPDFPageObj_GetType(shape) != pdfium_c.FPDF_PAGEOBJ_FORM:
            yield shape, matrix
        elif depth < _FORM_DEPTH_MAX:
            yield from _objects(shape, _times(_matrix(shape), matrix), depth + 1)


def _add_path(rules: Rules, shape: Any, matrix: _Matrix) -> None:
    for box in _bounds(shape, matrix):
        width, height = box[2] - box[0], box[3] - box[1]
        if min(width, height) <= _THIN:
            if _seen(shape):
                _add_edge(rules, box)
        elif _drawn(shape)[1]:
            for edge in _edges(shape, _times(_matrix(shape), matrix)):
                _add_edge(rules, edge)


def _add_edge(rules: Rules, edge: Box) -> None:
    width, height = edge[2] - edge[0], edge[3] - edge[1]
    if height <= _THIN and width >= _LENGTH_MIN:
        rules.across.append(edge)
    elif width <= _THIN and height >= _LENGTH_MIN:
        rules.down.append(edge)


def _edges(shape: Any, matrix: _Matrix) -> Iterator[Box]:
    """Yield the boxes of the straight segments of a path of few of them; others are drawings."""
    count = pdfium_c.FPDFPath_CountSegments(shape)
    if count > limits.PDF_PAGE_OBJECTS_MAX:
        return
    begin = last = (0.0, 0.0)
    x, y = ctypes.c_float(), ctypes.c_float()
    for number in range(count):
        segment = pdfium_c.FPDFPath_GetPathSegment(shape, number)
        if not pdfium_c.FPDFPathSegment_GetPoint(segment, x, y):
            return
        point = _moved(matrix, x.value, y.value)
        kind = pdfium_c.FPDFPathSegment_GetType(segment)
        if kind == pdfium_c.FPDF_SEGMENT_MOVETO:
            begin = point
        elif kind == pdfium_c.FPDF_SEGMENT_LINETO:
            yield _box(last, point)
        if pdfium_c.FPDFPathSegment_GetClose(segment):
            yield _box(point, begin)
        last = point


def _drawn(shape: Any) -> tuple[bool, bool]:
    """Return whether a path is filled, and whether it is stroked."""
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    if not pdfium_c.FPDFPath_GetDrawMode(shape, fill, stroke):
        return False, False
    return bool(fill.value), bool(stroke.value)


def _seen(shape: Any) -> bool:
    """Tell a line from a strip of the pale colour behind every second row of a table."""
    filled, stroked = _drawn(shape)
    if stroked or not filled:
        return stroked
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    if not pdfium_c.FPDFPageObj_GetFillColor(shape, red, green, blue, alpha):
        return True
    return alpha.value > _OPAQUE_MIN and min(red.value, green.value, blue.value) < _PALE_MIN


def _bounds(shape: Any, matrix: _Matrix) -> list[Box]:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not pdfium_c.FPDFPageObj_GetBounds(shape, left, bottom, right, top):
        return []
    return [
        _box(
            _moved(matrix, left.value, bottom.value),
            _moved(matrix, right.value, top.value),
        )
    ]


def _matrix(shape: Any) -> _Matrix:
    found = pdfium_c.FS_MATRIX()
    if not pdfium_c.FPDFPageObj_GetMatrix(shape, found):
        return _WHOLE
    return found.a, found.b, found.c, found.d, found.e, found.f


def _times(inner: _Matrix, outer: _Matrix) -> _Matrix:
    a, b, c, d, e, f = inner
    p, q, r, s, t, u = outer
    return (
        a * p + b * r,
        a * q + b * s,
        c * p + d * r,
        c * q + d * s,
        e * p + f * r + t,
        e * q + f * s + u,
    )


def _moved(matrix: _Matrix, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + c * y + e, b * x + d * y + f


def _box(one: tuple[float, float], other: tuple[float, float]) -> Box:
    return (
        min(one[0], other[0]),
        min(one[1], other[1]),
        max(one[0], other[0]),
        max(one[1], other[1]),
    )
