"""An artifact store in memory, for archived sessions."""

from collections.abc import Iterator
from pathlib import Path


class MemoryCopies:
    """As much of an artifact store as sessions come back from."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def put_if_absent(self, name: str, content: bytes) -> bool:
        return self.contents.setdefault(name, content) is content

    def put_file_if_absent(self, name: str, source: Path) -> bool:
        raise NotImplementedError

    def get(self, name: str) -> bytes | None:
        return self.contents.get(name)

    def open_local(self, name: str) -> Path:
        raise NotImplementedError

    def discard_local(self, name: str, *, sha256: str) -> bool:
        raise NotImplementedError

    def list(self, prefix: str) -> Iterator[str]:
        return iter(sorted(name for name in self.contents if name.startswith(prefix)))

    def delete(self, name: str) -> None:
        self.contents.pop(name, None)
