"""The files of a segment: their names, checksums and memory-mapped reading.

Numbers are raw little-endian arrays, the type is the suffix (``.i32``, ``.i64``). With n passages,
t terms and p postings:

| file                  | holds                                                                    |
|-----------------------|--------------------------------------------------------------------------|
| passages.jsonl        | one JSON object a row                                                    |
| passages.i64          | (n + 1) byte offsets of the rows in passages.jsonl                       |
| lengths.i32           | (n) terms of each row                                                    |
| documents.json        | names of the documents, in the order of their first rows                 |
| documents.i32         | (n) place of each row's document in documents.json                       |
| terms.txt             | the terms, sorted by their UTF-8 bytes, one behind the other             |
| terms.i64             | (2, t + 1) byte offsets in terms.txt; offsets in the postings            |
| postings.i32          | (2, p) rows, increasing within a term; counts                            |
| vectors.<space>.faiss | FAISS index of the rows that are in the space: IndexFlatIP, or where     |
|                       | they are many IndexIVFScalarQuantizer, which has the next file beside it |
| vectors.<space>.f32   | (rows, dimension) their vectors                                          |
| vectors.<space>.i32   | their row numbers, increasing                                            |
"""

import hashlib
import mmap
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.errors import CorruptArtifact

PASSAGES: Final = "passages.jsonl"
PASSAGE_OFFSETS: Final = "passages.i64"
LENGTHS: Final = "lengths.i32"
DOCUMENTS: Final = "documents.json"
DOCUMENT_OF_ROW: Final = "documents.i32"
TERMS: Final = "terms.txt"
TERM_OFFSETS: Final = "terms.i64"
POSTINGS: Final = "postings.i32"
ALWAYS: Final = frozenset(
    {
        PASSAGES,
        PASSAGE_OFFSETS,
        LENGTHS,
        DOCUMENTS,
        DOCUMENT_OF_ROW,
        TERMS,
        TERM_OFFSETS,
        POSTINGS,
    }
)

_VECTORS: Final = "vectors."
_INDEX: Final = ".faiss"


def index_file(space: str) -> str:
    """Return the name of the file that holds the FAISS index of ``space``."""
    return f"{_VECTORS}{space}{_INDEX}"


def vectors_file(space: str) -> str:
    """Return the name of the file of the vectors of ``space``, where the index has only codes."""
    return f"{_VECTORS}{space}.f32"


def index_rows_file(space: str) -> str:
    """Return the name of the file that holds the row numbers of ``space``."""
    return f"{_VECTORS}{space}.i32"


def spaces_in(files: Mapping[str, Path]) -> list[str]:
    """Return the spaces that have an index among ``files``, sorted."""
    return sorted(
        name[len(_VECTORS) : -len(_INDEX)]
        for name in files
        if name.startswith(_VECTORS) and name.endswith(_INDEX)
    )


def sha256_of(path: Path) -> str:
    """Return the sha256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def segment_name(checksums: Mapping[str, str]) -> str:
    """Return the name of the segment whose files have these checksums: equal files, equal name."""
    lines = "".join(f"{name} {checksums[name]}\n" for name in sorted(checksums))
    return hashlib.sha256(lines.encode()).hexdigest()


def checked(
    files: Mapping[str, Path],
    checksums: Mapping[str, str],
    sha256_of: Callable[[Path, str], str] = lambda path, expected: sha256_of(path),
) -> None:
    """Raise ``CorruptArtifact`` unless every file is there with its checksum.

    ``sha256_of`` tells the checksum of a file that is expected to have one.
    """
    lacking = (ALWAYS | set(checksums)) - set(files)
    if lacking:
        raise CorruptArtifact(f"segment lacks {', '.join(sorted(lacking))}")
    for name, expected in checksums.items():
        try:
            found = sha256_of(files[name], expected)
        except OSError as error:
            raise CorruptArtifact(f"{name} cannot be read: {error.strerror}") from error
        if found != expected:
            raise CorruptArtifact(f"{name} has sha256 {found}, not {expected}")


def mapped(path: Path) -> memoryview:
    """Return the bytes of a file, memory-mapped; the mapping ends with its last user."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return memoryview(b"")  # the kernel maps nothing of no length
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def make_room(file: BinaryIO, size_bytes: int) -> None:
    """Make a file that is to be written through a mapping as large as that; ``OSError`` if full.

    On a full disk a write to a mapped hole of a file would end the process (SIGBUS).
    """
    file.flush()
    if size_bytes:
        os.posix_fallocate(file.fileno(), 0, size_bytes)


def int32s(path: Path) -> NDArray[np.int32]:
    """Return a ``.i32`` file, memory-mapped and read-only."""
    return np.frombuffer(mapped(path), dtype="<i4")


def int64s(path: Path) -> NDArray[np.int64]:
    """Return a ``.i64`` file, memory-mapped and read-only."""
    return np.frombuffer(mapped(path), dtype="<i8")
