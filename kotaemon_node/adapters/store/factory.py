"""Which artifact store an ``ARTIFACT_URL`` names."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.ports.artifacts import ArtifactStore


def make_artifact_store(url: str) -> ArtifactStore:
    """Return the store at ``url`` (``file:///absolute/folder``); ``ValueError`` for any other.

    Raises ``OSError`` when the folder cannot be made.
    """
    parts = urlsplit(url)
    if parts.scheme != "file":
        raise ValueError(f"ARTIFACT_URL begins with {parts.scheme or url!r}: only file:// is known")
    path = Path(unquote(parts.path))
    if parts.netloc not in {"", "localhost"} or not path.is_absolute():
        raise ValueError(f"ARTIFACT_URL must be file:///absolute/folder, not {url!r}")
    return FileArtifactStore(path)
