"""Archives that are damaged, locked or bombs: each gets its reason, and none gets our memory."""

import io
import struct
import tracemalloc
import zipfile

import pytest

from kotaemon_node.adapters.documents.reading import parse_document
from kotaemon_node.adapters.documents.zipped import Zipped
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused
from tests.office_files import archive, docx

PARAGRAPH = "<w:p><w:r><w:t>Hello.</w:t></w:r></w:p>"


def test_members_are_found_in_either_case_and_of_two_the_later_counts() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as into:
        into.writestr("A.xml", b"first")
        with pytest.warns(UserWarning, match="Duplicate"):
            into.writestr("A.xml", b"second")
    found = Zipped(file.getvalue())
    assert found.read("a.XML") == b"second"
    assert "b.xml" not in found


def test_a_part_that_is_too_large_is_refused_before_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "ZIP_PART_BYTES_MAX", 1024 * 1024)
    content = archive({"a": bytes(200 * 1024 * 1024)})
    tracemalloc.start()
    with pytest.raises(DocumentRefused, match="part a is over the limit of 1 MB"):
        Zipped(content).read("a")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 1024 * 1024


def test_a_size_that_lies_brings_no_more_than_it_says() -> None:
    content = bytearray(archive({"a": bytes(50 * 1024 * 1024)}))
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", 1_000)
    tracemalloc.start()
    with pytest.raises(DocumentRefused, match="cannot be unpacked"):
        Zipped(bytes(content)).read("a")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * 1024 * 1024


def test_what_all_parts_unpack_to_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ZIP_BYTES_MAX", 1024 * 1024)
    found = Zipped(archive({f"{number}": bytes(400 * 1024) for number in range(3)}))
    found.read("0")
    found.read("1")
    with pytest.raises(DocumentRefused, match="unpacks to more than the limit of 1 MB"):
        found.read("2")


def test_an_archive_of_very_many_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ZIP_MEMBERS_MAX", 10)
    with pytest.raises(DocumentRefused, match="an archive of more than 10 files"):
        Zipped(archive({f"{number}": b"" for number in range(11)}))


@pytest.mark.parametrize(
    ("bit", "method", "reason"),
    [(1, 8, "encrypted and needs a password"), (0, 14, "not supported")],
)
def test_a_member_that_cannot_be_opened_says_why(bit: int, method: int, reason: str) -> None:
    content = bytearray(docx(PARAGRAPH))
    at = -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        content[at + 8 : at + 12] = struct.pack("<HH", bit, method)
    with pytest.raises(DocumentRefused, match=reason):
        parse_document("a.docx", bytes(content))


def test_a_document_that_was_cut_off_or_scribbled_on_is_damaged() -> None:
    content = docx(PARAGRAPH * 1_000)
    with pytest.raises(DocumentRefused, match="it is damaged"):
        parse_document("a.docx", content[: len(content) // 2])
    middle = content.index(b"word/document.xml") + 60
    with pytest.raises(DocumentRefused, match="it is damaged"):
        parse_document("a.docx", content[:middle] + b"\xff" * 40 + content[middle + 40 :])
    with pytest.raises(DocumentRefused, match="no well-formed XML"):
        parse_document("a.docx", docx("<w:p>"))


def test_entities_are_neither_expanded_nor_fetched() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "AAAA"><!ENTITY b "&a;&a;">]>'
    outside = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    for before in (bomb, outside):
        with pytest.raises(DocumentRefused, match="declares XML entities"):
            parse_document("a.docx", docx("<w:p><w:r><w:t>&a;</w:t></w:r></w:p>", before=before))


def test_parts_nested_without_end_are_refused() -> None:
    depth = 1_500
    body = "<w:tbl><w:tr><w:tc>" * depth + PARAGRAPH + "</w:tc></w:tr></w:tbl>" * depth
    with pytest.raises(DocumentRefused, match=r"nested too deep|no well-formed XML"):
        parse_document("a.docx", docx(body))
    body = "<w:sdt><w:sdtContent>" * 600 + PARAGRAPH + "</w:sdtContent></w:sdt>" * 600
    with pytest.raises(DocumentRefused, match=r"nested too deep|no well-formed XML"):
        parse_document("a.docx", docx(body))


def test_a_merged_cell_does_not_unfold_without_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DOCUMENT_CHARS_MAX", 10_000)
    first = '<w:tcPr><w:vMerge w:val="restart"/></w:tcPr>' + PARAGRAPH.replace("Hello", "a" * 1_000)
    below = f"<w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr></w:tc><w:tc>{PARAGRAPH}</w:tc></w:tr>"
    rows = f"<w:tr><w:tc>{first}</w:tc><w:tc>{PARAGRAPH}</w:tc></w:tr>"
    assert "aaa" in parse_document("a.docx", docx(f"<w:tbl>{rows}{below * 5}</w:tbl>")).text()
    with pytest.raises(DocumentRefused, match="limit of 10,000 characters"):
        parse_document("a.docx", docx(f"<w:tbl>{rows}{below * 20}</w:tbl>"))
    page = f"<table><tr><td rowspan=99>{'a' * 1_000}<td>b</tr>{'<tr><td>c' * 20}</table>"
    with pytest.raises(DocumentRefused, match="limit of 10,000 characters"):
        parse_document("a.html", f"<html><body>{page}".encode())
