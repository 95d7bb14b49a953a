"""Which files are read at all, by the endings of their names.

Apart from the parsers: a pod refuses a name without loading what reads files of it.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused
from kotaemon_node.domain.faq_entries import FAQ_ENDING

TEXTS: Final = (
    ".md",
    ".markdown",
    ".txt",
    ".html",
    ".htm",
    ".xhtml",
    ".csv",
    ".tsv",
    FAQ_ENDING,
)
BINARIES: Final[Mapping[str, str]] = {
    ".pdf": "a PDF",
    ".docx": "a Word document",
    ".pptx": "a PowerPoint presentation",
    ".xlsx": "an Excel workbook",
    ".epub": "an EPUB book",
}
SUPPORTED_ENDINGS: Final = (*BINARIES, *TEXTS)
_SUPPORTED: Final = f"supported are {', '.join(SUPPORTED_ENDINGS)}"
_SAVE_AS: Final[Mapping[str, str]] = {
    ".doc": ".docx",
    ".rtf": ".docx",
    ".odt": ".docx",
    ".xls": ".xlsx",
    ".xlsb": ".xlsx",
    ".ods": ".xlsx",
    ".ppt": ".pptx",
    ".odp": ".pptx",
}


def too_large(size_bytes: int) -> DocumentRefused:
    """Return the refusal of a file of ``size_bytes``."""
    limit_mb = limits.DOCUMENT_BYTES_MAX // 1024**2
    return DocumentRefused(
        f"the file has {size_bytes / 1024**2:.0f} MB, the limit is {limit_mb} MB"
    )


def unsupported(path: str) -> DocumentRefused | None:
    """Return the refusal of a file whose name promises what no parser reads, else None."""
    ending = ending_of(path)
    if not ending:
        return DocumentRefused(f"the file name has no ending; {_SUPPORTED}")
    if ending in _SAVE_AS:
        return DocumentRefused(f"{ending} files are not supported; save it as {_SAVE_AS[ending]}")
    if ending not in SUPPORTED_ENDINGS:
        return DocumentRefused(f"{ending} files are not supported; {_SUPPORTED}")
    return None


def ending_of(path: str) -> str:
    """Return the ending that says how a file is read, in lower case; empty without one."""
    if path.lower().endswith(FAQ_ENDING):
        return FAQ_ENDING
    return PurePosixPath(path).suffix.lower()
