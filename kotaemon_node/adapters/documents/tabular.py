"""Tables: an FAQ where the columns say so, else rows; and the CSV files that hold one."""

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from kotaemon_node.adapters.documents.parsed import Outline, ParsedDocument
from kotaemon_node.adapters.documents.visible import visible_text
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused

_DELIMITERS: Final = ",;\t|"
_SAMPLE_ROWS: Final = 20
_NAME_CHARS_MAX: Final = 80
_VALUE: Final = re.compile(r"[-+(]?[$€£¥]?\s*[\d.,:/-]+\s*[%)]?")
_QUESTION: Final = frozenset({"question", "questions", "q", "问题", "問題", "提问"})
_ANSWER: Final = frozenset({"answer", "answers", "a", "答案", "回答", "解答"})
_TAGS: Final = frozenset({"tags", "tag", "category", "标签", "標籤", "分类", "分類"})
_VARIANTS: Final = frozenset(
    {
        "variants",
        "variant",
        "similar questions",
        "similar question",
        "other questions",
        "相似问",
        "相似问题",
        "相似问法",
        "扩展问",
        "其他问法",
    }
)
_BETWEEN_VARIANTS: Final = re.compile(r"[\n;；|｜]")
# Columns of an FAQ whose numbers tell a reader nothing. What others say stands below the answer.
_KEYS: Final = frozenset(
    {"", "id", "no", "no.", "nr", "#", "index", "key", "编号", "序号", "編號", "序號"}
)

Row = list[str]


def parse_csv(text: str, *, name: str) -> ParsedDocument:
    """Return the document; its title is ``name``. Raises ``DocumentRefused`` with the reason."""
    outline = Outline()
    add_rows(outline, _rows(visible_text(text)), has_header=True)
    return outline.document(name)


def add_rows(outline: Outline, rows: Sequence[Row], *, has_header: bool) -> None:
    """Add a table to ``outline``, or its entries where its first row says that it is an FAQ."""
    columns = [cell.strip().lower() for cell in rows[0]] if rows else []
    question, answer = _column(columns, _QUESTION), _column(columns, _ANSWER)
    if question is None or answer is None:
        outline.table(rows, has_header=has_header)
    else:
        tags = _column(columns, _TAGS)
        variants = _column(columns, _VARIANTS)
        known = {question, answer, tags, variants}
        others: list[Row] = []
        for row in rows[1:]:
            asked, answered = _cell(row, question), _cell(row, answer)
            further = list(_further(rows[0], row, known))
            if asked and answered:
                outline.faq(
                    asked,
                    "\n".join([answered, *further]),
                    _cell(row, tags),
                    variants=_other_ways(_cell(row, variants), asked),
                )
            elif further:
                others.append(row)
        outline.table(others, has_header=False)


def _further(names: Row, row: Row, known: Collection[int | None]) -> Iterator[str]:
    """Yield what an FAQ's row says beside its entry, with the names of the columns."""
    for at in range(len(row)):
        name, value = _cell(names, at), _cell(row, at)
        is_number_of_row = name.lower() in _KEYS and value.isdecimal()
        if at not in known and value and not is_number_of_row:
            yield f"{name}: {value}" if name else value


def _other_ways(cell: str, asked: str) -> Sequence[str]:
    """Return the ways to ask that a cell holds, each once; more than enough are left out."""
    ways = (way.strip() for way in _BETWEEN_VARIANTS.split(cell))
    return list(dict.fromkeys(way for way in ways if way and way != asked))[
        : limits.FAQ_VARIANTS_MAX
    ]


def names_columns(rows: Sequence[Row]) -> bool:
    """Guess whether the first row names the columns: words in each cell, different, no values."""
    if len(rows) < 2 or len(rows[0]) < 2:
        return False
    names = [cell.strip() for cell in rows[0]]
    return (
        all(names)
        and len(set(names)) == len(names)
        and all(len(name) <= _NAME_CHARS_MAX for name in names)
        and not any(_VALUE.fullmatch(name) for name in names)
    )


def _rows(text: str) -> list[Row]:
    try:
        rows = csv.reader(text.splitlines(keepends=True), delimiter=_delimiter(text))
        return [row for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DocumentRefused(f"it is not a readable CSV table: {error}") from error


def _delimiter(text: str) -> str:
    """Return the sign that cuts the first rows into the most columns that agree in number."""
    sample = text.splitlines(keepends=True)[: _SAMPLE_ROWS * 2]

    def agreement(delimiter: str) -> int:
        try:
            rows = [row for row in csv.reader(sample, delimiter=delimiter) if row]
        except csv.Error:
            return 0
        width = len(rows[0]) if rows else 0
        alike = sum(1 for row in rows[:_SAMPLE_ROWS] if len(row) == width)
        return alike * (width - 1)

    return max(_DELIMITERS, key=agreement)


def _column(columns: Sequence[str], names: frozenset[str]) -> int | None:
    return next((at for at, column in enumerate(columns) if column in names), None)


def _cell(row: Row, column: int | None) -> str:
    return row[column].strip() if column is not None and column < len(row) else ""
