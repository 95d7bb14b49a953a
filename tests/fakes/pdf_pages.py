"""Small PDFs made by hand: text, lines and pictures at places, one page after the other."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 612, 792
HELVETICA, HELVETICA_BOLD, ANY = "F1", "F2", "F3"
_TO_UNICODE = (
    "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def "
    "/CMapType 2 def 1 begincodespacerange <0000> <FFFF> endcodespacerange "
    "100 beginbfrange\n"
    + "".join(f"<{high:02X}00> <{high:02X}FF> <{high:02X}00>\n" for high in range(256))
    + "endbfrange endcmap end end"
)
_OBJECTS = (
    b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    b"<< /Type /Font /Subtype /Type0 /BaseFont /Any /Encoding /Identity-H"
    b" /DescendantFonts [6 0 R] /ToUnicode 7 0 R >>",
    b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Any /DW 1000 /FontDescriptor 8 0 R"
    b" /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>",
    b"<< /Length %d >>\nstream\n%s\nendstream" % (len(_TO_UNICODE), _TO_UNICODE.encode()),
    b"<< /Type /FontDescriptor /FontName /Any /Flags 4 /FontBBox [0 -200 1000 800] /Ascent 800"
    b" /Descent -200 /CapHeight 700 /ItalicAngle 0 /StemV 80 >>",
    b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray"
    b" /BitsPerComponent 8 /Length 1 >>\nstream\n\x80\nendstream",
)
_FIRST_PAGE_OBJECT = 3 + len(_OBJECTS)


@dataclass
class Page:
    """One page; places count from its lower left corner, in points."""

    rotate: int = 0
    content: list[bytes] = field(default_factory=list)
    broken: bool = False

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 10,
        font: str = HELVETICA,
        matrix: str = "1 0 0 1",
        mode: int = 0,
    ) -> "Page":
        """Write a line of text."""
        if font == ANY:
            shown = f"<{text.encode('utf-16-be').hex()}>".encode()
        else:
            shown = f"<{text.encode('cp1252').hex()}>".encode()
        self.content.append(
            f"BT /{font} {size} Tf {mode} Tr {matrix} {x} {y} Tm ".encode() + shown + b" Tj ET"
        )
        return self

    def lines(self, x: float, y: float, lines: Iterable[str], *, step: float = 12) -> "Page":
        """Write lines of text, the first at ``y``, the others below."""
        for number, line in enumerate(lines):
            self.text(x, y - number * step, line)
        return self

    def rule(self, x0: float, y0: float, x1: float, y1: float) -> "Page":
        """Draw a line."""
        self.content.append(f"{x0} {y0} m {x1} {y1} l S".encode())
        return self

    def picture(self) -> "Page":
        """Fill the page with a picture."""
        self.content.append(f"q {WIDTH} 0 0 {HEIGHT} 0 0 cm /I1 Do Q".encode())
        return self


def pdf(
    *pages: Page,
    title: str = "",
    bookmarks: Sequence[tuple[str, int]] = (),
    encrypted: bool = False,
) -> bytes:
    """Return the file; bookmarks are a title and the number of a page from 1."""
    objects = list(_OBJECTS)
    kids = []
    for page in pages:
        content = b"\n".join(page.content)
        kids.append(b"%d 0 R" % (3 + len(objects)))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Rotate %d /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R /F2 4 0 R /F3 5 0 R >> /XObject << /I1 9 0 R >>"
            b" >> >>" % (WIDTH, HEIGHT, page.rotate, 4 + len(objects))
            if not page.broken
            else b"(no page at all)"
        )
        packed = zlib.compress(content)
        objects.append(
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed)
        )
    trailer = b"/Root 1 0 R"
    root = b"<< /Type /Catalog /Pages 2 0 R"
    if bookmarks:
        first = 4 + len(objects)
        root += b" /Outlines %d 0 R" % (first - 1)
        last = first + len(bookmarks) - 1
        objects.append(b"<< /Type /Outlines /First %d 0 R /Last %d 0 R >>" % (first, last))
        for number, (name, at) in enumerate(bookmarks, first):
            target = _FIRST_PAGE_OBJECT + 2 * (at - 1)
            following = b"/Next %d 0 R" % (number + 1) if number < last else b""
            objects.append(
                b"<< /Title (%s) /Parent %d 0 R %s /Dest [%d 0 R /Fit] >>"
                % (name.encode("latin-1"), first - 1, following, target)
            )
    if title:
        objects.append(b"<< /Title <feff%s> >>" % title.encode("utf-16-be").hex().encode())
        trailer += b" /Info %d 0 R" % (2 + len(objects))
    if encrypted:
        objects.append(
            b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >>" % (b"ab" * 32, b"cd" * 32)
        )
        trailer += b" /Encrypt %d 0 R /ID [<00> <00>]" % (2 + len(objects))
    tree = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(pages), b" ".join(kids))
    return _file([root + b" >>", tree, *objects], trailer)


def _file(objects: Sequence[bytes], trailer: bytes) -> bytes:
    made = bytearray(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    made += b"".join(b"%010d 00000 n \n" % place for place in places)
    made += b"trailer << /Size %d %s >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        trailer,
        table,
    )
    return bytes(made)
