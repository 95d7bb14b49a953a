"""Keeps a vector store equal to the segments of what is published.

The segments' files are the truth; what the store holds is made from them and can be made again.
Before a manifest names a segment its vectors lie in the store, counted. What is lost there is
noticed by counting, now and then, and written again. A set goes when the files of its segment have
gone, so whatever a turn has pinned stays as it is.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from kotaemon_node.domain.artifact_names import knowledge_base_prefix, segment_file_name
from kotaemon_node.domain.knowledge import Manifest, SegmentEntry
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.segments import Segment, SegmentFormat
from kotaemon_node.ports.vectors import (
    VectorBlock,
    VectorSet,
    VectorStore,
    VectorsUnavailable,
)
from kotaemon_node.retrieval.copies import open_checked

_log = structlog.get_logger(__name__)

_COUNT_EVERY_S: Final = 10.0
_BLOCK_ROWS: Final = 1024

Alive = Callable[[], None]
"""Called often; raises to stop the work."""


class VectorKeeper:
    """Writes and counts the vectors of one tenant. Used by one thread, but for ``fill_ahead``."""

    def __init__(
        self,
        vectors: VectorStore | None,
        *,
        store: ArtifactStore,
        segment_format: SegmentFormat,
        clock: Clock,
        tenant: str,
    ) -> None:
        """``vectors`` None: segments are searched in their files alone, and there is no work."""
        self._vectors = vectors
        self._store = store
        self._format = segment_format
        self._clock = clock
        self._tenant = tenant
        self._sizes: dict[tuple[str, str], dict[VectorSet, int]] = {}
        """Knowledge base and segment to how many vectors its sets have."""
        self._whole: set[VectorSet] = set()
        """Sets that were found whole since the last count of all."""
        self._next_s: dict[str, float] = {}
        self._problems: dict[str, str] = {}

    def begin(self) -> None:
        """Forget what was counted: another leader may have changed it."""
        self._whole.clear()
        self._next_s.clear()
        self._problems.clear()

    @property
    def problem(self) -> str | None:
        """Why the store does not have all that is published, for people."""
        return next(iter(self._problems.values()), None)

    def require_store(self) -> None:
        """Raise ``VectorsUnavailable`` where nothing could be published now.

        Asked before a build, which would be made in vain.
        """
        if self._vectors is not None:
            self._vectors.check()

    def fill(self, manifest: Manifest, *, alive: Alive) -> None:
        """Return when all sets of ``manifest`` are in the store, whole.

        Raises ``VectorsUnavailable``, ``CorruptArtifact`` where a segment cannot be read, and what
        ``alive`` raises.
        """
        if self._vectors is None:
            return
        wanted = self._sets(manifest, alive)
        # What was found whole a moment ago is not asked for: a deletion must not wait for a store.
        missing = self._not_whole(wanted)
        for of in sorted(missing, key=lambda it: (it.segment, it.space)):
            alive()
            self._write(manifest, of, missing[of], alive)
        left = self._not_whole(missing)
        if left:
            raise VectorsUnavailable(
                f"the vector store does not have what it took: {len(left)} sets are not whole"
            )

    def fill_ahead(
        self, kb: str, entry: SegmentEntry, spaces: Mapping[str, int], alive: Alive
    ) -> None:
        """Write the sets of a stored segment that no manifest names yet, each anew.

        A large one takes the store minutes, so this may be called beside the thread that uses the
        rest; whether they are whole, ``fill`` finds out. Raises as that.
        """
        if self._vectors is None:
            return
        with closing(self._open(kb, entry)) as segment:
            sets = self._sets_of(kb, segment, spaces)
            there = self._vectors.sizes(sets)
            for of in sorted(sets, key=lambda it: it.space):
                alive()
                if there.get(of) != sets[of]:
                    self._vectors.write(of, _blocks(segment, of.space, alive))

    def look(self, manifest: Manifest, *, alive: Alive) -> None:
        """Count the sets of a published generation, when it is time to, and write what is lost.

        A store that is away is told by ``problem``: what is published is served from the files.
        """
        if self._vectors is None or self._clock.monotonic_s() < self._next_s.get(manifest.kb, 0.0):
            return
        self._next_s[manifest.kb] = self._clock.monotonic_s() + _COUNT_EVERY_S
        # Also what older generations had: a rollback must not trust a count of long ago.
        self._whole = {of for of in self._whole if of.kb != manifest.kb}
        try:
            self.fill(manifest, alive=alive)
        except VectorsUnavailable as error:
            if str(error) not in self._problems.values():
                _log.warning("vector_store_trouble", reason=str(error))
            self._problems[manifest.kb] = str(error)
        else:
            self._problems.pop(manifest.kb, None)

    def sweep(self, kb: str) -> int:
        """Remove the sets of segments that the artifact store no longer has; return how many."""
        if self._vectors is None:
            return 0
        prefix = f"{knowledge_base_prefix(self._tenant, kb)}segments/"
        kept = {name.removeprefix(prefix).partition("/")[0] for name in self._store.list(prefix)}
        removed = self._vectors.keep_only(self._tenant, kb, kept)
        self._whole = {of for of in self._whole if of.kb != kb or of.segment in kept}
        for known in [it for it in self._sizes if it[0] == kb and it[1] not in kept]:
            del self._sizes[known]
        if removed:
            _log.info("vector_sets_removed", kb=kb, sets=removed)
        return removed

    def _sets(self, manifest: Manifest, alive: Alive) -> dict[VectorSet, int]:
        found: dict[VectorSet, int] = {}
        for entry in manifest.segments:
            known = manifest.kb, entry.name
            if known not in self._sizes:
                alive()
                with closing(self._open(manifest.kb, entry)) as segment:
                    self._sizes[known] = self._sets_of(manifest.kb, segment, manifest.spaces)
            found.update(self._sizes[known])
        return found

    def _sets_of(
        self, kb: str, segment: Segment, spaces: Mapping[str, int]
    ) -> dict[VectorSet, int]:
        return {
            VectorSet(
                tenant=self._tenant,
                kb=kb,
                space=space,
                segment=segment.name,
                dimension=spaces[space],
            ): size
            for space, size in segment.vectors.items()
        }

    def _not_whole(self, wanted: dict[VectorSet, int]) -> dict[VectorSet, int]:
        """Count the sets that are not known to be whole; return those that are not."""
        assert self._vectors is not None
        unsure = {of: size for of, size in wanted.items() if of not in self._whole}
        if not unsure:
            return {}
        found = self._vectors.sizes(unsure.keys())
        self._whole |= {of for of, size in unsure.items() if found.get(of) == size}
        return {of: size for of, size in unsure.items() if of not in self._whole}

    def _write(self, manifest: Manifest, of: VectorSet, size: int, alive: Alive) -> None:
        assert self._vectors is not None
        entry = next(it for it in manifest.segments if it.name == of.segment)
        _log.info("writing_vectors", kb=of.kb, segment=of.segment, space=of.space, vectors=size)
        with closing(self._open(manifest.kb, entry)) as segment:
            self._vectors.write(of, _blocks(segment, of.space, alive))

    def _open(self, kb: str, entry: SegmentEntry) -> Segment:
        names = {
            file: segment_file_name(self._tenant, kb, entry.name, file) for file in entry.files
        }
        return open_checked(
            self._store, names, entry.files, lambda files: self._format.open(files, entry)
        )


def _blocks(segment: Segment, space: str, alive: Alive) -> Iterator[VectorBlock]:
    """Yield all rows that are in ``space``."""
    for start in range(0, segment.passages, _BLOCK_ROWS):
        alive()
        rows: list[int] = []
        vectors: list[NDArray[np.float32]] = []
        for row in range(start, min(start + _BLOCK_ROWS, segment.passages)):
            vector = segment.vector(row).get(space)
            if vector is not None:
                rows.append(row)
                vectors.append(vector)
        if rows:
            yield np.array(rows, dtype=np.int64), np.stack(vectors)
