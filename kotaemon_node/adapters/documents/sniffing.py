"""What a file is by its first bytes, whatever its name says."""

import re
from typing import Final

# (where, bytes, what it is). No text begins like this. Kinds that always hold a NUL byte near their
# beginning need no row: ``decoding`` refuses them.
_MAGIC: Final = (
    (0, b"%PDF-", "a PDF"),
    (0, b"PK\x03\x04", "a ZIP archive or an Office document"),
    (0, b"PK\x05\x06", "a ZIP archive"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (0, b"{\\rtf", "a rich text (RTF) document"),
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
_HTML: Final = re.compile(
    # Possessive: many comments must not be cut up in every possible way.
    r"(?:<\?xml[^>]*>|<!--(?:(?!-->).)*+-->|\s)*+<(?:!doctype\s+html|html[\s>])",
    re.IGNORECASE | re.DOTALL,
)


def binary_kind(content: bytes) -> str | None:
    """Return what ``content`` is ("a PDF") when its first bytes say so, else None."""
    for at, magic, kind in _MAGIC:
        if content.startswith(magic, at):
            return kind
    return None


def looks_like_html(text: str) -> bool:
    """Tell whether ``text`` begins as a whole HTML page does."""
    return _HTML.match(text[:4096]) is not None
