"""Which files ``ingest`` is about: found below the paths, and named as documents."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kotaemon_node.adapters.documents.endings import unsupported
from kotaemon_node.domain import limits
from kotaemon_node.domain.document_names import document_of, temporary
from kotaemon_node.domain.errors import NodeError


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file and the document that it is to be."""

    path: Path
    document: str
    size_bytes: int


@dataclass(slots=True)
class Found:
    """What lies below the paths."""

    files: list[LocalFile] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Path to why it cannot be ingested."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Path to why nobody expects it to be: no format of documents, a program's own file."""


def find_files(paths: Sequence[Path], kb: str) -> Found:
    """Return the files at and below ``paths``; a name that two of them have fails for the second.

    A file is named by its own name, files of a folder by their path below it.
    """
    found = Found()
    named: set[str] = set()
    for path in paths:
        if path.is_dir():
            for file, name in _below(path):
                _take(found, named, file, name=name, kb=kb, asked_for=False)
        elif path.exists():
            _take(found, named, path, name=path.name, kb=kb, asked_for=True)
        else:
            found.failed[_shown(path)] = "there is no such file"
    found.files.sort(key=lambda file: (file.size_bytes, file.document))
    return found


def revision_of(path: Path) -> str:
    """Return the sha256 (hex) of a file. Raises ``OSError``."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _below(folder: Path) -> Iterator[tuple[Path, str]]:
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not temporary(name))
        for name in sorted(names):
            path = Path(at, name)
            yield path, path.relative_to(folder).as_posix()


def _take(
    found: Found, named: set[str], path: Path, *, name: str, kb: str, asked_for: bool
) -> None:
    shown = _shown(path)
    refusals = found.failed if asked_for else found.left_out
    if temporary(path.name):
        refusals[shown] = "it is a hidden or temporary file"
        return
    if refusal := unsupported(name):
        refusals[shown] = str(refusal)
        return
    try:
        document = document_of(kb, name)
        size = path.stat().st_size
    except (NodeError, OSError) as error:
        found.failed[shown] = str(error)
        return
    if not path.is_file():
        refusals[shown] = "it is not a regular file"
    elif size > limits.DOCUMENT_BYTES_MAX:
        found.failed[shown] = f"it has more than {limits.DOCUMENT_BYTES_MAX // 1024**2} MB"
    elif document in named:
        found.failed[shown] = f"another file is to be {document}, too"
    else:
        named.add(document)
        found.files.append(LocalFile(path, document, size))


def _shown(path: Path) -> str:
    """Return a path that any terminal and any JSON can take: a name may hold whatever bytes."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(path)
    )
