"""Where generations of knowledge are kept: the truth from which every pod reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from kotaemon_node.domain.errors import Unavailable


class ArtifactsUnavailable(Unavailable):
    """The store cannot be reached, or there is no room for a local copy; a later try may succeed.

    Its message is shown where people look for the reason of a refused generation.
    """


class ArtifactStore(Protocol):
    """Immutable files under slash-separated relative names (``tenants/default/kb/…``).

    A name never changes its content once it can be read: writes are atomic (all or nothing) and
    survive a crash of the writer. A name with an empty, absolute or ``..`` step is ``ValueError``.
    Any call may raise ``ArtifactsUnavailable`` where the store is not a folder; to repeat it is
    harmless. A store that cannot be written (a worker's) raises ``OSError`` from writes.
    """

    def put_if_absent(self, name: str, content: bytes) -> bool:
        """Store ``content`` and return True; False, changing nothing, where ``name`` exists."""
        ...

    def put_file_if_absent(self, name: str, source: Path) -> bool:
        """The same for the file ``source``, which may be large and stays as it is."""
        ...

    def get(self, name: str) -> bytes | None:
        """Return the content, or None where there is no such name."""
        ...

    def open_local(self, name: str) -> Path:
        """Return a local path that holds the content and can be memory-mapped.

        Raises ``CorruptArtifact`` where there is no such name. The caller must not write to it; it
        stays readable for whoever has it open, also after ``delete``. Where the store is elsewhere
        the content is copied here once, whole and of the announced size; that its bytes are the
        right ones, the caller checks. A copy stays until the room is needed for others.
        """
        ...

    def discard_local(self, name: str, *, sha256: str) -> bool:
        """Drop a copy whose content has not this checksum (hex); True where one was dropped.

        ``open_local`` then fetches it anew. False where the content is right, where there is no
        copy but the store's own file, and where it was dropped a short while ago already: then
        the store itself has the wrong content.
        """
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names that begin with ``prefix``, sorted."""
        ...

    def delete(self, name: str) -> None:
        """Remove ``name``; nothing happens where there is none."""
        ...
