"""What is uploaded, as a name and its bytes."""

from os import PathLike
from pathlib import Path


def content_of(content: str | bytes | PathLike[str], path: str | None) -> tuple[str, bytes]:
    """Return the document's path in its knowledge base, and its bytes.

    A text is a document, never the name of a file. Raises ``ValueError`` where no path is known,
    ``OSError`` where the file cannot be read.
    """
    if isinstance(content, PathLike):
        file = Path(content)
        return path or file.name, file.read_bytes()
    if not path:
        raise ValueError("say under which path: upload_document(text, 'guide.md')")
    return path, content.encode() if isinstance(content, str) else content
