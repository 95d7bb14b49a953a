"""Damaged documents and bombs through real children: text or a reason, and the next one is read.

All that there are are measured by ``python -m load.bench.bad_input documents``.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from kotaemon_node.domain import limits
from load.bad_input.children import Children, Readings, made_bombs
from load.bad_input.documents import Document, bombs, damaged

GROWN_MB_MAX = 60.0
# One of each parser that is refused or read at once; the others take up to their bounds.
QUICK = (
    "overlapping.docx", "external.docx", "itself.epub", "climbing.epub", "laughs.epub",
    "laughs.pptx", "wide.xlsx", "quotes.csv", "deep.xhtml", "attributes.html", "quotes.md",
    "deep.faq.json", "numbers.faq.json", "zeros.txt", "loop.pdf", "count.pdf", "deep.pdf",
)  # fmt: skip
SAMPLED = 1
"""So many damaged documents of each format a short run reads."""


@pytest.fixture
def children() -> Iterator[Children]:
    with Children() as running:
        yield running


def _sound(found: Readings, *, count: int) -> None:
    assert found.faults == []
    assert found.count == count
    # What was read is gone, whatever came of it.
    assert found.grown_mb < GROWN_MB_MAX


def test_a_bomb_for_each_parser_has_a_reason_and_harms_no_neighbour(children: Children) -> None:
    made = [Document(name, bombs()[name]()) for name in QUICK]
    _sound(children.read_all(made), count=len(QUICK))


def test_nothing_of_this_machine_is_read_by_a_document(children: Children) -> None:
    texts: list[str] = []
    for name in ("external.docx", "dtd.docx", "climbing.epub"):
        read = children.read(Document(name, bombs()[name]()))
        texts.append(read.text + (read.reason or ""))
    assert not any("root:" in text for text in texts), texts


@pytest.mark.data
def test_damaged_documents_have_text_or_a_reason(children: Children, public_data: Path) -> None:
    by_ending = defaultdict[str, list[Document]](list)
    for document in damaged(public_data, half="dev", each=1):
        by_ending[document.name.rpartition(".")[2]].append(document)
    assert {"pdf", "docx", "pptx", "xlsx", "epub", "html", "csv", "md", "txt"} <= by_ending.keys()
    made = [document for found in by_ending.values() for document in found[:SAMPLED]]
    _sound(children.read_all(made), count=len(made))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_bomb_has_text_or_a_reason_within_its_bounds(children: Children) -> None:
    found = children.read_all(made_bombs())
    _sound(found, count=len(bombs()))
    assert found.slowest[1] < 2 * limits.READING_WALL_S_MAX, found.slowest
    assert found.child_bytes_max <= limits.READING_MEMORY_BYTES_MAX


@pytest.mark.data
@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_damaged_document_has_text_or_a_reason(children: Children, public_data: Path) -> None:
    made = list(damaged(public_data, half="dev"))
    assert len(made) > 300
    _sound(children.read_all(made), count=len(made))
