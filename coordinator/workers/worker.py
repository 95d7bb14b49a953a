"""What a build worker does with a task: fetch the bytes, read them, encode, store the piece."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Final

import numpy as np
import orjson
import structlog

from coordinator.folder import FileChanged, FileState
from coordinator.ingest import Ingested
from coordinator.reading.reader import Reader
from coordinator.workers.pieces import Pieces
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import BUILD_DONE, BuildDone, BuildTask
from kotaemon_node.domain.knowledge import Passage
from kotaemon_node.ports.encoder import Encoder, SpaceVectors
from kotaemon_node.ports.events import Bus, Message
from kotaemon_node.retrieval.indexed import indexed_text

_log = structlog.get_logger(__name__)

_ENCODE_BATCH: Final = 16


class Sources:
    """The bytes of the task that is worked on, for the reader: one task at a time."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self.task: BuildTask | None = None

    def load(self, state: FileState) -> bytes:
        """Return a document's bytes. Raises ``FileChanged`` where nobody wants it any more."""
        content = self._pieces.source(self.task) if self.task is not None else None
        if content is None:
            raise FileChanged(state.document)
        return content


class BuildWorker:
    """Works on one task at a time. Everything may be repeated."""

    def __init__(
        self,
        pieces: Pieces,
        sources: Sources,
        reader: Reader,
        encoder: Encoder,
        bus: Bus,
        *,
        name: str,
    ) -> None:
        self._pieces = pieces
        self._sources = sources
        self._reader = reader
        self._encoder = encoder
        self._bus = bus
        self._name = name

    def work(self, task: BuildTask) -> None:
        """See that the piece of ``task`` is there. Raises ``Unavailable`` or ``OSError``.

        A task that makes no piece here, now or ever, is told as done all the same: the leader finds
        nothing and reads the document itself at once.
        """
        try:
            self._make(task)
        except (Unavailable, OSError):
            raise
        except Exception:  # noqa: BLE001 - a task that meets a bug of ours must not come for ever
            _log.exception("build_task_failed", document=task.document, piece=task.piece)
        done = BuildDone(task.tenant, task.kb, task.document, task.piece, self._name)
        try:
            self._bus.publish(Message(BUILD_DONE, task.document, orjson.dumps(asdict(done))))
        except Unavailable:
            _log.info("piece_not_announced", piece=task.piece)  # the leader looks for it anyway

    def _make(self, task: BuildTask) -> None:
        if not self._pieces.ours(task):
            _log.warning("build_task_not_ours", document=task.document, encoder=task.encoder)
        elif not self._pieces.there(task):
            it = self._read(task)
            # What was purged meanwhile must not come back.
            if it is not None and self._pieces.wanted(task):
                self._pieces.put(task, it)
                _log.info("piece_made", document=task.document, passages=len(it.passages))

    def _read(self, task: BuildTask) -> Ingested | None:
        self._sources.task = task
        state = FileState(task.document, task.revision, task.size_bytes)
        it = self._reader.begin(task.kb, state).result()
        if it is None:
            if self._pieces.source(task) is not None:
                raise Unavailable("this worker ends in the middle of a document")
            return None
        return it if it.reason is not None else replace(it, vectors=self._encoded(it.passages))

    def _encoded(self, passages: Sequence[Passage]) -> dict[str, SpaceVectors]:
        positions: dict[str, list[np.ndarray]] = {}
        vectors: dict[str, list[np.ndarray]] = {}
        for start in range(0, len(passages), _ENCODE_BATCH):
            texts = [indexed_text(it) for it in passages[start : start + _ENCODE_BATCH]]
            for space, found in self._encoder.encode_passages(texts).items():
                positions.setdefault(space, []).append(found.positions + start)
                vectors.setdefault(space, []).append(found.vectors)
        return {
            space: SpaceVectors(
                positions=np.concatenate(positions[space]).astype(np.int64),
                vectors=np.concatenate(vectors[space]).astype(np.float32),
            )
            for space in vectors
        }
