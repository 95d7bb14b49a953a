"""Files made to hurt, through the real children: each has its reason, and the next one is read."""

import io
import zipfile
from collections.abc import Iterator

import psutil
import pytest

from coordinator.metrics import CoordinatorMetrics
from coordinator.reading.pool import ChildReader
from kotaemon_node.adapters.system import SystemClock
from tests.unit.test_reading_children import MB, Files, read

ROOT_RELS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/'
    '2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>'
)
TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-'
    'types"><Default Extension="xml" ContentType="application/xml"/><Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName='
    '"/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    'wordprocessingml.document.main+xml"/></Types>'
)
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
LAUGHS = "".join(
    f'<!ENTITY l{at} "{f"&l{at - 1};" * 10}">' if at else '<!ENTITY l0 "ha">' for at in range(10)
)


def docx(document: bytes) -> bytes:
    """Return a DOCX file with this main part."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", TYPES)
        archive.writestr("_rels/.rels", ROOT_RELS)
        archive.writestr("word/document.xml", document)
    return made.getvalue()


def body(inside: str) -> bytes:
    return f'<w:document xmlns:w="{WORD}"><w:body>{inside}</w:body></w:document>'.encode()


BOMBS = {
    "zip-bomb.docx": lambda: docx(body("<w:p/>") + b" " * (150 * MB)),
    "laughs.docx": lambda: docx(
        f"<!DOCTYPE w [{LAUGHS}]>".encode() + body("<w:p><w:r><w:t>&l9;</w:t></w:r></w:p>")
    ),
    "deep.html": lambda: b"<div>" * 500_000 + b"text",
    "deep.docx": lambda: docx(body("<w:tbl><w:tr><w:tc>" * 20_000)),
    "long.txt": lambda: b"a word " * 3_000_000,
}


@pytest.fixture(scope="module")
def files() -> Files:
    return Files()


@pytest.fixture(scope="module")
def reader(files: Files) -> Iterator[ChildReader]:
    reader = ChildReader(files, metrics=CoordinatorMetrics(), clock=SystemClock(), children=1)
    yield reader
    reader.close()


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_and_costs_the_coordinator_nothing(
    files: Files, reader: ChildReader, name: str
) -> None:
    state = files.state(name, BOMBS[name]())
    before = psutil.Process().memory_info().rss
    found = read(reader, state)
    grown = psutil.Process().memory_info().rss - before
    print(name, found.reason, grown // MB)
    assert found.reason is not None
    assert grown < 64 * MB
    assert read(reader, files.state("good.md")).reason is None
