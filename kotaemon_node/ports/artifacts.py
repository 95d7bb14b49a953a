"""Where generations of knowledge are kept: the truth from which every pod reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class ArtifactStore(Protocol):
    """Immutable files under slash-separated relative names (``tenants/default/kb/…``).

    A name never changes its content once it can be read: writes are atomic (all or nothing) and
    survive a crash of the writer. A name with an empty, absolute or ``..`` step is ``ValueError``.
    """

    def put_if_absent(self, name: str, content: bytes) -> bool:
        """Store ``content`` and return True; False, changing nothing, where ``name`` exists."""
        ...

    def put_file_if_absent(self, name: str, source: Path) -> bool:
        """The same for the file ``source``, which may be large; it may be moved away."""
        ...

    def get(self, name: str) -> bytes | None:
        """Return the content, or None where there is no such name."""
        ...

    def open_local(self, name: str) -> Path:
        """Return a local path that holds the content and can be memory-mapped.

        Raises ``CorruptArtifact`` where there is no such name. The caller must not write to it; it
        stays readable for whoever has it open, also after ``delete``.
        """
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names that begin with ``prefix``, sorted."""
        ...

    def delete(self, name: str) -> None:
        """Remove ``name``; nothing happens where there is none."""
        ...
