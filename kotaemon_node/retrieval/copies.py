"""Opens files of the artifact store, and has wrong copies of this machine fetched again."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.ports.artifacts import ArtifactStore

_Opened = TypeVar("_Opened")


def open_checked(
    store: ArtifactStore,
    names: Mapping[str, str],
    checksums: Mapping[str, str],
    open_files: Callable[[Mapping[str, Path]], _Opened],
) -> _Opened:
    """Return ``open_files`` of the local files; ``names`` and ``checksums`` (hex) are by file.

    ``open_files`` raises ``CorruptArtifact`` for a file that is missing or of another checksum. If
    copies of this machine were at fault it is called once more with new ones.
    """

    def local() -> Mapping[str, Path]:
        return {file: store.open_local(name) for file, name in names.items()}

    try:
        return open_files(local())
    except CorruptArtifact:
        # Every one is looked at: of a broken disk more than one may be wrong.
        dropped = [
            store.discard_local(name, sha256=checksums[file]) for file, name in names.items()
        ]
        if not any(dropped):
            raise
    return open_files(local())
