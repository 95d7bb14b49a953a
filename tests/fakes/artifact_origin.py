"""An origin of artifacts that breaks as a test wants, and a store of copies over it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kotaemon_node.adapters.store.cache import LocalCache
from kotaemon_node.adapters.store.factory import here
from kotaemon_node.adapters.store.origin import Body, OriginAway
from kotaemon_node.adapters.store.remote_store import RemoteArtifactStore
from kotaemon_node.adapters.system import SystemClock

MB = 1024 * 1024


class QuickClock(SystemClock):
    """Sleeps for nobody: a back-off costs no time."""

    def sleep(self, duration_s: float) -> None:
        super().sleep(min(duration_s, 0.005))


class ScriptedOrigin:
    """An origin of one content, that breaks after ``breaks_after`` bytes of an answer."""

    def __init__(self, content: bytes, *, breaks_after: int = 0, chunk: int = 64 * 1024) -> None:
        self.content = content
        self.breaks_after = breaks_after
        self.chunk = chunk
        self.announced = len(content)
        self.away = False
        self.starts: list[int] = []

    @contextmanager
    def open(self, name: str, *, start: int = 0, tag: str = "") -> Iterator[Body | None]:
        if self.away:
            raise OriginAway("nobody there")
        self.starts.append(start)
        yield Body(start, self.announced, "tag", self._chunks(start))

    def names(self, prefix: str) -> Iterator[str]:
        if self.away:
            raise OriginAway("nobody there")
        yield from (name for name in ["x"] if name.startswith(prefix))

    def _chunks(self, start: int) -> Iterator[bytes]:
        sent = 0
        for at in range(start, len(self.content), self.chunk):
            if self.breaks_after and sent >= self.breaks_after:
                raise OriginAway("cable pulled")
            yield self.content[at : at + self.chunk]
            sent += self.chunk


def store_of(
    origin: Any, folder: Path, *, bytes_max: int = 1 << 30, spared_s: float = 600.0
) -> RemoteArtifactStore:
    clock = QuickClock()
    cache = LocalCache(folder, bytes_max=bytes_max, clock=clock, spared_s=spared_s)
    return RemoteArtifactStore(origin, cache, native=here, clock=clock, remembers=True)


def copies(folder: Path) -> list[str]:
    files = folder / "files"
    return sorted(str(path.relative_to(files)) for path in files.rglob("*") if path.is_file())
