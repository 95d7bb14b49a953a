"""Brings an artifact from elsewhere into the cache: resumed, timed, bounded, told of in the log."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from kotaemon_node.adapters.store.cache import LocalCache
from kotaemon_node.adapters.store.origin import Body, Origin, OriginAway
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.ports.artifacts import ArtifactsUnavailable
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

Native = Callable[..., Any]
"""``Tasks.compute``: runs what blocks (disk) away from the serving loop."""

BREAKS_MAX: Final = 4  # in a row that brought nearly nothing; then whoever asked is told
ATTEMPTS_MAX: Final = 50  # however much each brought
_BACKOFF_S: Final = 0.2
_BACKOFF_MAX_S: Final = 5.0
_WRITE_BYTES: Final = 1024 * 1024
# Slower than this for so long is broken: a kilobyte each nine seconds never times out by silence.
_SLOW_WINDOW_S: Final = 30.0
_SLOW_BYTES: Final = 64 * 1024
_PROGRESS_S: Final = 5.0
_TOLD_BYTES: Final = 1024 * 1024


def backoff_s(breaks: int) -> float:
    """Return how long to wait after so many breaks in a row."""
    return min(_BACKOFF_MAX_S, _BACKOFF_S * 2.0 ** (breaks - 1))


class Downloader:
    """Fetches into ``cache``. Safe for many tasks, and beside other processes."""

    def __init__(self, origin: Origin, cache: LocalCache, *, native: Native, clock: Clock) -> None:
        self._origin = origin
        self._cache = cache
        self._native = native
        self._clock = clock

    def fetch(self, name: str) -> Path:
        """Return the copy of ``name``, fetched if it is not here.

        Raises ``CorruptArtifact`` where the origin has no such name, ``ArtifactsUnavailable`` where
        it cannot be brought here now, with the reason.
        """
        with self._cache.sole(name):
            found = self._cache.find(name)  # another process may have been quicker
            return found or self._fetch_anew(name)

    def _fetch_anew(self, name: str) -> Path:
        breaks = furthest = 0
        for attempt in range(1, ATTEMPTS_MAX + 1):
            transfer = _Transfer(self._cache, name, native=self._native, clock=self._clock)
            try:
                return self._attempt(transfer)
            except OriginAway as error:
                further = transfer.at_bytes >= furthest + _SLOW_BYTES
                breaks = 1 if further else breaks + 1
                furthest = max(furthest, transfer.at_bytes)
                _log.warning(
                    "artifact_broken_off", name=name, bytes=transfer.at_bytes, reason=str(error)
                )
                if breaks >= BREAKS_MAX or attempt == ATTEMPTS_MAX:
                    raise ArtifactsUnavailable(f"{name} cannot be fetched: {error}") from error
            except OSError as error:
                transfer.abandon()
                raise ArtifactsUnavailable(
                    f"no copy of {name} can be written: {error.strerror}"
                ) from error
            self._clock.sleep(backoff_s(breaks))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _attempt(self, transfer: "_Transfer") -> Path:
        begun = transfer.begun()
        with self._origin.open(transfer.name, start=begun.start, tag=begun.tag) as body:
            if body is None:
                transfer.abandon()
                raise CorruptArtifact(f"the artifact store has no {transfer.name}")
            if body.start not in {0, begun.start}:
                raise OriginAway(f"asked for byte {begun.start}, {body.start} came")
            return transfer.take(body)


@dataclass(frozen=True, slots=True)
class _Begun:
    start: int = 0
    tag: str = ""


class _Transfer:
    """One attempt at one name; its lock is held."""

    def __init__(self, cache: LocalCache, name: str, *, native: Native, clock: Clock) -> None:
        self.name = name
        self.at_bytes = 0
        self.written = 0
        self._cache = cache
        self._native = native
        self._clock = clock
        self._path = cache.aside(name)
        self._note = self._path.with_suffix(".tag")

    def begun(self) -> _Begun:
        """Return what an earlier attempt, perhaps of a dead process, left."""
        try:
            note = orjson.loads(self._note.read_bytes())
            have = self._path.stat().st_size
            if 0 < have < note["size_bytes"]:
                return _Begun(have, note["tag"])
        except (OSError, ValueError, LookupError, TypeError):
            pass  # nothing, or nothing to go by
        return _Begun()

    def abandon(self) -> None:
        """Give the room back."""
        self._path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def take(self, body: Body) -> Path:
        """Write the body behind what is there and make it the copy."""
        if body.start == 0:
            self.abandon()
        self.at_bytes = body.start
        self._native(self._cache.make_room, body.size_bytes - body.start)
        began_s = self._clock.monotonic_s()
        self._native(self._keep_note, body)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._copy(body, descriptor, began_s)
            if self.at_bytes != body.size_bytes:
                raise OriginAway(f"{self.at_bytes} of {body.size_bytes} bytes came")
            self._native(os.fsync, descriptor)
        finally:
            os.close(descriptor)
        self._note.unlink(missing_ok=True)
        path = self._cache.adopt(self.name)
        self._tell(body, began_s, "artifact_fetched")
        return path

    def _keep_note(self, body: Body) -> None:
        if body.start == 0 and body.tag:
            note = {"tag": body.tag, "size_bytes": body.size_bytes}
            self._note.write_bytes(orjson.dumps(note))

    def _copy(self, body: Body, descriptor: int, began_s: float) -> None:
        told_s = began_s
        for block in _blocks(body.chunks, self._clock):
            if self.at_bytes + len(block) > body.size_bytes:
                self.abandon()
                raise OriginAway(f"more than the {body.size_bytes} bytes that were announced")
            self._native(_write_all, descriptor, block)
            self.at_bytes += len(block)
            self.written += len(block)
            now_s = self._clock.monotonic_s()
            if now_s - told_s >= _PROGRESS_S:
                told_s = now_s
                self._tell(body, began_s, "artifact_coming")

    def _tell(self, body: Body, began_s: float, event: str) -> None:
        took_s = self._clock.monotonic_s() - began_s
        # A segment has a dozen small files, of which nobody wants to read.
        tell = _log.info if body.size_bytes >= _TOLD_BYTES else _log.debug
        tell(
            event,
            name=self.name,
            bytes=self.at_bytes,
            of_bytes=body.size_bytes,
            resumed_at=body.start,
            mb_per_s=round(self.written / 1e6 / max(took_s, 1e-3), 1),
        )


def _blocks(chunks: Iterator[bytes], clock: Clock) -> Iterator[bytes]:
    """Join chunks to blocks that are worth a write each.

    ``OriginAway`` where they end by it or come too slowly; what had come by then comes before.
    """
    block = bytearray()
    window_s, came = clock.monotonic_s(), 0
    broken: OriginAway | None = None
    try:
        for chunk in chunks:
            block += chunk
            came += len(chunk)
            if (now_s := clock.monotonic_s()) - window_s >= _SLOW_WINDOW_S:
                if came < _SLOW_BYTES:
                    broken = OriginAway(f"{came} bytes in {now_s - window_s:.0f} s")
                    break
                window_s, came = now_s, 0
            if len(block) >= _WRITE_BYTES:
                yield bytes(block)
                block.clear()
    except OriginAway as error:
        broken = error
    if block:
        yield bytes(block)
    if broken is not None:
        raise broken


def _write_all(descriptor: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]
