"""The artifact store of a machine that has to fetch: read elsewhere, kept in a bounded cache."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import structlog

from kotaemon_node.adapters.store.cache import LocalCache, has_checksum
from kotaemon_node.adapters.store.download import BREAKS_MAX, Downloader, Native, backoff_s
from kotaemon_node.adapters.store.names import check_name
from kotaemon_node.adapters.store.origin import Body, Origin, OriginAway
from kotaemon_node.domain.artifact_names import is_manifest
from kotaemon_node.ports.artifacts import ArtifactsUnavailable
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_GET_BYTES_MAX: Final = 512 * 1024 * 1024  # a text is at most 80 MB, a manifest smaller
_DISCARDED_AGAIN_S: Final = 600.0
_DISCARDED_KEPT: Final = 1_000
_Answer = TypeVar("_Answer")


class RemoteArtifactStore:
    """``ports.artifacts.ArtifactStore`` for reading ``origin``.

    With ``remembers`` it also keeps the manifests it read, and answers from what is kept while the
    origin is away, so that a pod can start without it. Texts are never answered so: one that was
    withdrawn must not come back. A writer must not remember: it decides by what is there.
    """

    def __init__(
        self, origin: Origin, cache: LocalCache, *, native: Native, clock: Clock, remembers: bool
    ) -> None:
        self._origin = origin
        self._cache = cache
        self._native = native
        self._clock = clock
        self._remembers = remembers
        self._downloader = Downloader(origin, cache, native=native, clock=clock)
        self._discarded_s: dict[str, float] = {}

    def put_if_absent(self, name: str, content: bytes) -> bool:
        check_name(name)
        raise _read_only(name)

    def put_file_if_absent(self, name: str, source: Path) -> bool:
        check_name(name)
        raise _read_only(name)

    def delete(self, name: str) -> None:
        check_name(name)
        raise _read_only(name)

    def get(self, name: str) -> bytes | None:
        check_name(name)
        kept = self._remembers and is_manifest(name)
        try:
            content = self._patiently(lambda: self._read(name))
        except ArtifactsUnavailable:
            copy = self._cache.find(name) if kept else None
            if copy is None:
                raise
            _log.warning("artifact_from_cache", name=name, reason="the artifact store is away")
            return copy.read_bytes()
        if kept:
            self._keep(name, content)
        return content

    def open_local(self, name: str) -> Path:
        check_name(name)
        return self._cache.find(name) or self._downloader.fetch(name)

    def discard_local(self, name: str, *, sha256: str) -> bool:
        check_name(name)
        now_s = self._clock.monotonic_s()
        since_s = self._discarded_s.get(name)
        if since_s is not None and now_s - since_s < _DISCARDED_AGAIN_S:
            return False
        if self._native(has_checksum, self._cache.path(name), sha256):
            return False
        if len(self._discarded_s) >= _DISCARDED_KEPT:
            self._discarded_s.clear()
        self._discarded_s[name] = now_s
        _log.warning("artifact_discarded", name=name, reason="its copy has another checksum")
        self._cache.remove(name)
        return True

    def list(self, prefix: str) -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        if folder:
            check_name(folder)
        try:
            names = self._patiently(lambda: list(self._origin.names(prefix)))
        except ArtifactsUnavailable:
            names = list(self._cache.names(prefix)) if self._remembers else []
            if not names:
                raise
        yield from names

    def _read(self, name: str) -> bytes | None:
        with self._origin.open(name) as body:
            return None if body is None else _whole(name, body)

    def _keep(self, name: str, content: bytes | None) -> None:
        try:
            if content is None:
                self._cache.remove(name)
            elif self._cache.find(name) is None:
                with self._cache.sole(name):
                    self._native(_write_flushed, self._cache.aside(name), content)
                    self._cache.adopt(name)
        except (OSError, ArtifactsUnavailable) as error:
            # It was read, which is what was asked for; only a start without the store lacks it.
            _log.warning("artifact_not_kept", name=name, reason=str(error))

    def _patiently(self, ask: Callable[[], _Answer]) -> _Answer:
        breaks = 0
        while True:
            try:
                return ask()
            except OriginAway as error:
                breaks += 1
                if breaks >= BREAKS_MAX:
                    raise ArtifactsUnavailable(str(error)) from error
            self._clock.sleep(backoff_s(breaks))


def _whole(name: str, body: Body) -> bytes:
    if body.size_bytes > _GET_BYTES_MAX:
        raise ArtifactsUnavailable(f"{name} has {body.size_bytes} bytes: too many for memory")
    content = b"".join(body.chunks)
    if len(content) != body.size_bytes:
        raise OriginAway(f"{len(content)} of {body.size_bytes} bytes came")
    return content


def _write_flushed(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read_only(name: str) -> OSError:
    return OSError(errno.EROFS, "this artifact store is read only", name)
