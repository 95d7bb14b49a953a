"""Rows of files in the order of their names: gathered in pieces, and met again by name."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kotaemon_node.backup.format import ROWS_PER_PART, FileRow, packed_rows
from kotaemon_node.backup.writing import Writer
from kotaemon_node.domain.document_names import TENANTS_FOLDER, bad_characters, temporary

PROBES_FILE: Final = ".probes.yaml"
"""The one hidden file of a knowledge base that belongs to it (``coordinator.probes``)."""


class Before:
    """Rows of the backup before, asked for in the order of their names; one is in memory."""

    def __init__(self, rows: Iterable[FileRow]) -> None:
        self._rows = iter(rows)
        self._next = next(self._rows, None)

    def of(self, name: str) -> FileRow | None:
        """Return the row of ``name``; names come sorted."""
        while self._next is not None and self._next.name < name:
            self._next = next(self._rows, None)
        return self._next if self._next is not None and self._next.name == name else None


@dataclass(slots=True)
class Gathered:
    """Rows on their way into an index; ``ROWS_PER_PART`` of them are in memory at most."""

    writer: Writer
    index: list[str] = field(default_factory=list)
    files: int = 0
    size_bytes: int = 0
    copied: int = 0
    _rows: list[FileRow] = field(default_factory=list)

    def add(self, row: FileRow, *, copied: bool) -> None:
        """Take a row; names come sorted. ``copied``: the backup before did not have it."""
        self._rows.append(row)
        self.files += 1
        self.size_bytes += row.size_bytes
        self.copied += copied
        if len(self._rows) >= ROWS_PER_PART:
            self.close()

    def close(self) -> None:
        """Store what is left."""
        if self._rows:
            self.index.append(self.writer.put(packed_rows(self._rows)))
            self._rows = []


def documents_of(root: Path) -> Iterator[str]:
    """Yield the files of a knowledge folder, sorted; hidden and unfinished ones are left out.

    Links are followed to files within the folder, as the coordinator does.
    """
    yield from _documents(root, root.resolve(), "")


def _documents(root: Path, resolved: Path, prefix: str) -> Iterator[str]:
    with os.scandir(root / prefix) as listed:
        entries = list(listed)
    # "/" sorts behind "." and "-": the slash must be there when names are compared.
    labelled = sorted(
        (it.name + "/" if it.is_dir(follow_symlinks=False) else it.name, it) for it in entries
    )
    for label, entry in labelled:
        if bad_characters(entry.name) or (temporary(entry.name) and entry.name != PROBES_FILE):
            continue
        if label.endswith("/"):
            yield from _documents(root, resolved, prefix + label)
        elif _is_ours(Path(entry.path), resolved):
            yield prefix + label


def _is_ours(path: Path, resolved: Path) -> bool:
    try:
        found = path.resolve(strict=True)
        with_a_tenant = found.is_relative_to(resolved / TENANTS_FOLDER)
        return path.is_file() and found.is_relative_to(resolved) and not with_a_tenant
    except (OSError, RuntimeError):
        return False  # it went away, or is a link to nothing
