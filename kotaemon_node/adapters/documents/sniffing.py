"""What a file is by its first bytes, whatever its name says."""

import re
from typing import Final

from kotaemon_node.adapters.documents.ooxml import Package
from kotaemon_node.adapters.documents.xml_trees import attribute, children
from kotaemon_node.adapters.documents.zipped import Zipped
from kotaemon_node.domain.errors import DocumentRefused

# (where, bytes, what it is). No text begins like this. Kinds that always hold a NUL byte near their
# beginning need no row: ``decoding`` refuses them.
_MAGIC: Final = (
    (0, b"{\\rtf", "a rich text (RTF) document; save it as .docx"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF87a", "a GIF image"),
    (0, b"GIF89a", "a GIF image"),
    (0, b"II*\x00", "a TIFF image"),
    (0, b"MM\x00*", "a TIFF image"),
    (0, b"ID3\x03", "a sound file"),
    (0, b"ID3\x04", "a sound file"),
    (0, b"OggS\x00", "a sound file"),
    (0, b"\x1a\x45\xdf\xa3", "a video"),
    (0, b"\x1f\x8b\x08", "a gzip archive"),
    (4, b"1AY&SY", "a bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "an xz archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ\x90\x00", "a program"),
    (0, b"\xca\xfe\xba\xbe", "a program"),
    (0, b"\x00asm", "a program"),
    (0, b"SQLite format 3\x00", "a database"),
)
_COMPOUND: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Names of what lies inside a compound file, which tell what it is. Office encrypts its newer
# formats into such a file, so that sign comes first.
_COMPOUND_SIGNS: Final = (
    ("EncryptedPackage", "encrypted and needs a password; save it without one"),
    ("WordDocument", "an old Word document (.doc); save it as .docx"),
    ("Workbook", "an old Excel workbook (.xls); save it as .xlsx"),
    ("Book", "an old Excel workbook (.xls); save it as .xlsx"),
    ("PowerPoint Document", "an old PowerPoint presentation (.ppt); save it as .pptx"),
    ("__properties_version1", "an Outlook message (.msg); save it as .html or .txt"),
)
_ARCHIVES: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
# Readers accept junk before the header.
_PDF_HEAD_BYTES: Final = 1024
_OPEN_DOCUMENT: Final = (
    ("opendocument.text", "an OpenDocument text (.odt); save it as .docx"),
    ("opendocument.spreadsheet", "an OpenDocument spreadsheet (.ods); save it as .xlsx"),
    ("opendocument.presentation", "an OpenDocument presentation (.odp); save it as .pptx"),
)
_OFFICE_TYPES: Final = (
    ("sheet.binary", "xlsb"),
    ("word", "docx"),
    ("presentation", "pptx"),
    ("powerpoint", "pptx"),
    ("spreadsheet", "xlsx"),
    ("ms-excel", "xlsx"),
)
_HTML: Final = re.compile(
    # Possessive: many comments must not be cut up in every possible way.
    r"(?:<\?xml[^>]*>|<!--(?:(?!-->).)*+-->|\s)*+<(?:!doctype\s+html|html[\s>])",
    re.IGNORECASE | re.DOTALL,
)


def looks_like_pdf(content: bytes, *, ending: str) -> bool:
    """Tell whether ``content`` is a PDF; one with junk before it only where its name says so."""
    head = content[:_PDF_HEAD_BYTES]
    if head.lstrip(b"\xef\xbb\xbf \t\r\n\x00").startswith(b"%PDF-"):
        return True
    return ending == ".pdf" and b"%PDF-" in head


def looks_zipped(content: bytes) -> bool:
    """Tell whether ``content`` is a ZIP file, as newer Office documents and EPUB books are."""
    return content.startswith(_ARCHIVES)


def unreadable_kind(content: bytes) -> str | None:
    """Return what ``content`` is ("a PNG image") when its first bytes say so, else None."""
    if content.startswith(_COMPOUND):
        found = (kind for name, kind in _COMPOUND_SIGNS if name.encode("utf-16-le") in content)
        return next(found, "an old Office document; save it in a newer format")
    return next((kind for at, magic, kind in _MAGIC if content.startswith(magic, at)), None)


def zipped_kind(zipped: Zipped) -> str:
    """Return which format an archive has: "docx", "pptx", "xlsx" or "epub".

    Raises ``DocumentRefused`` with the reason for any other.
    """
    if zipped.encrypted():
        raise DocumentRefused("it is encrypted and needs a password; save it without one")
    if "[Content_Types].xml" in zipped:
        return _office_kind(Package(zipped))
    if "META-INF/container.xml" in zipped:
        return "epub"
    declared = zipped.read("mimetype")[:100].decode("latin-1") if "mimetype" in zipped else ""
    for sign, kind in _OPEN_DOCUMENT:
        if sign in declared:
            raise DocumentRefused(f"it is {kind}")
    if any(name.endswith(".iwa") for name in zipped.names()):
        raise DocumentRefused("it is an Apple iWork document; export it as .docx, .pptx or .xlsx")
    raise DocumentRefused("it is a ZIP archive; unpack it, and add the files that it holds")


def _office_kind(package: Package) -> str:
    main = package.main()
    declared = next(
        (
            attribute(it, "ContentType") or ""
            for it in children(package.tree("[Content_Types].xml"), "Override")
            if (attribute(it, "PartName") or "").lstrip("/").lower() == main.lower()
        ),
        {"word": "word", "ppt": "presentation", "xl": "spreadsheet"}.get(
            main.partition("/")[0], ""
        ),
    )
    kind = next((kind for sign, kind in _OFFICE_TYPES if sign in declared), None)
    if kind == "xlsb":
        raise DocumentRefused("it is a binary Excel workbook (.xlsb); save it as .xlsx")
    if kind is None:
        raise DocumentRefused("it is an Office document of a kind that is not supported")
    return kind


def looks_like_html(text: str) -> bool:
    """Tell whether ``text`` begins as a whole HTML page does."""
    return _HTML.match(text[:4096]) is not None
