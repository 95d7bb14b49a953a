"""Where uploaded bytes wait until the coordinator that leads has put them into its folder."""

from pathlib import Path
from typing import Protocol


class UploadRoom(Protocol):
    """Writes what workers may write of the artifact store: names that ``upload_name`` makes."""

    def put(self, name: str, source: Path) -> None:
        """Keep the file ``source`` under ``name``, safe from a crash; once it is there, no more.

        Raises ``ArtifactsUnavailable`` where it cannot be kept now, with the reason.
        """
        ...

    def discard(self, name: str) -> None:
        """Remove ``name``; nothing happens where there is none. Raises as ``put``."""
        ...
