"""Documents that were damaged, and documents that were made to hurt, for every parser.

What must hold of each: a text or a reason that says what to do, within the child's bounds; never a
crash that nobody explains, and the next document is read.
"""

import io
import random
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

DAMAGES_EACH = 4
_KINDS = ("flip", "cut", "insert", "repeat", "swap", "member")
_FORMATS = (
    ".pdf",
    ".docx",
    ".pptx",
    ".xlsx",
    ".csv",
    ".html",
    ".md",
    ".txt",
    ".epub",
    ".htm",
    ".tsv",
)
_SOURCE_BYTES_MAX = 400_000
_INTERESTING = (
    b"\x00", b"\xff" * 4, b"%s%n", b"<", b"&", b"]]>", b"\x1a", b"9" * 40, b"-1", b"\xed\xa0\x80",
    b"<!ENTITY a SYSTEM 'file:///etc/passwd'>", b"<<>>", b"/Kids [1 0 R]", b"PK\x05\x06",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Document:
    """A file to be read."""

    name: str
    content: bytes


def damaged(data: Path, *, half: str = "*", each: int = DAMAGES_EACH) -> Iterator[Document]:
    """Yield real documents of every format, each damaged ``each`` times; the same in each run."""
    for file in _sources(data, half):
        content = file.read_bytes()
        for number in range(each):
            seed = zlib.crc32(f"{file.name}/{number}".encode())
            dice = random.Random(seed)
            kind = dice.choice(_KINDS)
            yield Document(f"{number}-{kind}-{file.name}", damage(content, kind, dice))


def damage(content: bytes, kind: str, dice: random.Random) -> bytes:
    """Return ``content`` with a damage of this kind, in one to eight places."""
    if kind == "member" and content[:4] == b"PK\x03\x04":
        return _damaged_member(content, dice)
    made = bytearray(content)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(made) + 1)
        size = min(len(made) - at, dice.choice((1, 4, 64, 4096)))
        match kind:
            case "cut":
                del made[at : at + size]
            case "insert":
                made[at:at] = dice.choice(_INTERESTING)
            case "repeat":
                made[at:at] = made[at : at + size] * dice.choice((1, 10, 100))
            case "swap":
                to = dice.randrange(len(made) + 1)
                made[at : at + size], made[to : to + size] = (
                    made[to : to + size],
                    made[at : at + size],
                )
            case _:
                made[at : at + 1] = bytes([dice.randrange(256)])
    return bytes(made)


def _damaged_member(content: bytes, dice: random.Random) -> bytes:
    """Damage what is packed, so that the damage meets the format and not the archive."""
    made = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
            names = old.namelist()
            hit = set(dice.sample(names, min(len(names), 3)))
            for name in names:
                inside = old.read(name)
                if name in hit and inside:
                    inside = damage(inside, dice.choice(_KINDS[:5]), dice)
                new.writestr(name, inside, zipfile.ZIP_DEFLATED)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, OSError):
        return damage(content, "flip", dice)
    return made.getvalue()


def _sources(data: Path, half: str) -> list[Path]:
    folders = (
        f"docs_formats/{half}/files/*",
        f"pdf_hard/{half}/**/*",
        f"encodings/{half}/files/*/*",
    )
    found = [file for pattern in folders for file in sorted(data.glob(pattern)) if file.is_file()]
    return [
        file
        for file in found
        if file.suffix.lower() in _FORMATS and 0 < file.stat().st_size < _SOURCE_BYTES_MAX
    ]


def bombs() -> Mapping[str, Callable[[], bytes]]:
    """Return files made to hurt, by their names; they are made when they are asked for."""
    return {
        "many-members.docx": lambda: _zipped({f"m{at}": b"" for at in range(60_000)}),
        "overlapping.docx": _overlapping,
        "itself.epub": lambda: _nested(5),
        "climbing.epub": _climbing,
        "external.docx": lambda: _docx(_EXTERNAL + _word("<w:p><w:r><w:t>&x;</w:t></w:r></w:p>")),
        "dtd.docx": lambda: _docx(
            b'<!DOCTYPE w SYSTEM "http://127.0.0.1:9/x.dtd">' + _word("<w:p/>")
        ),
        "laughs.epub": lambda: _epub(_LAUGHS + b"<html><body>&l9;</body></html>"),
        "quadratic.docx": lambda: _docx(
            b'<!DOCTYPE w [<!ENTITY a "' + b"a" * 100_000 + b'">]>' + _word("&a;" * 10_000)
        ),
        "wide.xlsx": lambda: _xlsx('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'),
        "repeated.xlsx": lambda: _xlsx('<row r="1"><c r="A1"><v>1</v></c></row>' * 400_000),
        "merged.xlsx": lambda: _xlsx(
            '<row r="1"><c r="A1"><v>1</v></c></row>',
            '<mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>',
        ),
        "xhtml-laughs.xhtml": lambda: _LAUGHS + b"<html><body>&l9;</body></html>",
        "deep.xhtml": lambda: b"<div>" * 100_000,
        "many-slides.pptx": lambda: _pptx(20_000),
        "laughs.pptx": lambda: _pptx(1, before=_LAUGHS),
        "deep.faq.json": lambda: b"[" * 100_000 + b"]" * 100_000,
        "numbers.faq.json": lambda: b'{"entries":[' + b"1e999999999," * 200_000 + b"1]}",
        "repeated.tsv": lambda: b"\t" * 3_000_000,
        "wide.csv": lambda: b"a," * 2_000_000,
        "tall.csv": lambda: b"a,b\n" * 1_000_000,
        "quotes.csv": lambda: b'"' * 3_000_000,
        "spans.html": lambda: (
            b"<table><tr>" + b"<td rowspan=65534 colspan=1000>x</td>" * 2_000 + b"</tr></table>"
        ),
        "attributes.html": lambda: b"<p " + b"a=b " * 500_000 + b">text</p>",
        "entities.html": lambda: b"&amp" * 1_000_000,
        "unclosed.html": lambda: b"<b><i><a href=x>" * 100_000,
        "nested-tables.html": lambda: b"<table><tr><td>" * 20_000 + b"x",
        "quotes.md": lambda: b">" * 200_000 + b" text",
        "brackets.md": lambda: b"[" * 200_000 + b"](" * 200_000,
        "emphasis.md": lambda: b"*a_ " * 200_000,
        "lists.md": lambda: b"".join(b" " * at + b"- x\n" for at in range(3_000)),
        "columns.md": lambda: b"|" * 100_000 + b"\n" + b"|-" * 100_000 + b"|\n" + b"|x" * 100_000,
        "fences.md": lambda: b"```\n" * 500_000,
        "line.txt": lambda: b"x" * 20_000_000,
        "breaks.txt": lambda: b"\n" * 5_000_000,
        "marks.txt": lambda: "e\u0301\u0302\u0303".encode() * 500_000,
        "zeros.txt": lambda: bytes(5_000_000),
        "loop.pdf": lambda: _pdf("<</Type/Pages/Kids[2 0 R]/Count 1>>"),
        "count.pdf": lambda: _pdf("<</Type/Pages/Kids[3 0 R]/Count 2147483647>>"),
        "page.pdf": lambda: _pdf("<</Type/Pages/Kids[3 0 R]/Count 1>>", box="0 0 1e30 1e30"),
        "inflate.pdf": lambda: _pdf(
            "<</Type/Pages/Kids[3 0 R]/Count 1>>", stream=zlib.compress(b"q " * 100_000_000)
        ),
        "operators.pdf": lambda: _pdf(
            "<</Type/Pages/Kids[3 0 R]/Count 1>>",
            stream=zlib.compress(b"BT /F1 1 Tf (x) Tj ET\n" * 2_000_000),
        ),
        "deep.pdf": lambda: _pdf("[" * 200_000 + "]" * 200_000),
    }


_EXTERNAL = b'<!DOCTYPE w [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
_LAUGHS = (
    b"<!DOCTYPE h ["
    + b"".join(
        b'<!ENTITY l%d "%s">' % (at, b"&l%d;" % (at - 1) * 10 if at else b"ha") for at in range(10)
    )
    + b"]>"
)
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def _zipped(members: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def _related(target: str) -> bytes:
    return (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{_OFFICE}/officeDocument" Target="{target}"/></Relationships>'
    ).encode()


def _word(inside: str) -> bytes:
    return f'<w:document xmlns:w="{_WORD}"><w:body>{inside}</w:body></w:document>'.encode()


def _docx(document: bytes) -> bytes:
    return _zipped(
        {
            "[Content_Types].xml": _types("word/document.xml", "wordprocessingml.document"),
            "_rels/.rels": _related("word/document.xml"),
            "word/document.xml": document,
        }
    )


def _types(part: str, kind: str) -> bytes:
    return (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/{part}" ContentType='
        f'"application/vnd.openxmlformats-officedocument.{kind}.main+xml"/></Types>'
    ).encode()


def _xlsx(rows: str, behind: str = "") -> bytes:
    book = (
        f'<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>'
    )
    sheet = f'<worksheet xmlns="{_SHEET}"><sheetData>{rows}</sheetData>{behind}</worksheet>'
    return _zipped(
        {
            "[Content_Types].xml": _types("xl/workbook.xml", "spreadsheetml.sheet"),
            "_rels/.rels": _related("xl/workbook.xml"),
            "xl/workbook.xml": book.encode(),
            "xl/_rels/workbook.xml.rels": _related("worksheets/sheet1.xml").replace(
                b'officeDocument"', b'worksheet"'
            ),
            "xl/worksheets/sheet1.xml": sheet.encode(),
        }
    )


def _pptx(slides: int, *, before: bytes = b"") -> bytes:
    main = "http://schemas.openxmlformats.org/presentationml/2006/main"
    listed = "".join(f'<p:sldId id="{at}" r:id="s"/>' for at in range(256, 256 + slides))
    shown = (
        f'<p:presentation xmlns:p="{main}" xmlns:r="{_OFFICE}"><p:sldIdLst>{listed}</p:sldIdLst>'
        "</p:presentation>"
    )
    slide = f'<p:sld xmlns:p="{main}"><p:cSld><p:spTree/></p:cSld></p:sld>'
    target = '<Relationship Id="s" Target="slides/s.xml" '
    return _zipped(
        {
            "[Content_Types].xml": _types("ppt/presentation.xml", "presentationml.presentation"),
            "_rels/.rels": _related("ppt/presentation.xml"),
            "ppt/presentation.xml": shown.encode(),
            "ppt/_rels/presentation.xml.rels": (
                f'<Relationships xmlns="{_PACKAGE}/relationships">{target}'
                f'Type="{_OFFICE}/slide"/></Relationships>'
            ).encode(),
            "ppt/slides/s.xml": before + slide.encode(),
        }
    )


def _epub(chapter: bytes, *, at: str = "c.xhtml") -> bytes:
    container = (
        b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        b'<rootfile full-path="p.opf" media-type="application/oebps-package+xml"/></rootfiles>'
        b"</container>"
    )
    package = (
        f'<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="c" href="{at}" '
        'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c"/></spine>'
        "</package>"
    )
    return _zipped(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": container,
            "p.opf": package.encode(),
            at: chapter,
        }
    )


def _climbing() -> bytes:
    return _epub(b"<html><body>outside</body></html>", at="../../../../etc/passwd")


def _nested(depth: int) -> bytes:
    inside = b"<html><body>" + b"x" * 1_000_000 + b"</body></html>"
    for _ in range(depth):
        inside = _zipped({f"{at}.zip": inside for at in range(8)})
    return inside


def _overlapping() -> bytes:
    """Return an archive whose entries are all one and the same 40 MB of packed zeros."""
    packed = zlib.compress(bytes(40_000_000))[2:-4]
    local = b"PK\x03\x04" + bytes(26) + packed
    entry = b"PK\x01\x02" + b"\x14\0\x14\0\0\0\x08\0" + bytes(8)
    entry += len(packed).to_bytes(4, "little") + (40_000_000).to_bytes(4, "little")
    directory = b""
    for at in range(500):
        name = f"word/{at}.xml".encode()
        directory += entry + len(name).to_bytes(2, "little") + bytes(16) + name
    end = b"PK\x05\x06" + bytes(4) + (500).to_bytes(2, "little") * 2
    end += len(directory).to_bytes(4, "little") + len(local).to_bytes(4, "little") + bytes(2)
    return local + directory + end


def _pdf(pages: str, *, box: str = "0 0 100 100", stream: bytes = b"") -> bytes:
    parts = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        pages.encode(),
        f"<</Type/Page/Parent 2 0 R/MediaBox[{box}]/Contents 4 0 R"
        "/Resources<</Font<</F1 5 0 R>>>>>>".encode(),
        b"<</Length %d%s>>stream\n" % (len(stream), b"/Filter/FlateDecode" if stream else b"")
        + stream
        + b"\nendstream",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    made = b"%PDF-1.4\n"
    places = []
    for number, part in enumerate(parts, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    start = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(parts) + 1)
    made += b"".join(b"%010d 00000 n \n" % place for place in places)
    return made + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        len(parts) + 1,
        start,
    )
