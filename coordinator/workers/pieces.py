"""Pieces: documents read and encoded, as they lie in the artifact store until they are used.

    kotaemon-piece 1 <key id> <signature>\\n
    a frame: the document's head with its spaces, behind it the text and the vectors

A piece is named by what it was made of, so whoever makes it again makes the same. It is signed,
because what the leader takes from it is signed by the leader: who can only write to the store must
not be able to say what a generation holds.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from coordinator.folder import FileState
from coordinator.ingest import INGEST_RULES, Ingested
from coordinator.reading.answers import Nonsense, packed, unpacked
from coordinator.reading.frames import frame, taken_apart
from kotaemon_node.domain.artifact_names import building_prefix
from kotaemon_node.domain.errors import CorruptArtifact, Malformed
from kotaemon_node.domain.events import BuildTask
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.encoder import Encoder, SpaceVectors
from kotaemon_node.ports.signing import Signer, Verifier

_PURPOSE: Final = b"kotaemon piece v1\n"
_HEADER: Final = re.compile(rb"kotaemon-piece 1 ([0-9a-f]{16}) ([0-9a-f]{128})")
_HEADER_BYTES_MAX: Final = 256
_LENGTH_ERROR_MAX: Final = 1e-2


class Pieces:
    """The pieces of all tenants in one artifact store, made with one encoder."""

    def __init__(
        self,
        store: ArtifactStore,
        encoder: Encoder,
        *,
        signer: Signer,
        verifier: Verifier,
    ) -> None:
        self._store = store
        self._encoder = encoder
        self._signer = signer
        self._verifier = verifier

    def task(self, tenant: str, kb: str, state: FileState) -> BuildTask:
        """Return the task to make the piece of a file."""
        made_of = [state.revision, state.document, INGEST_RULES, self._encoder.name]
        digest = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
        prefix = building_prefix(tenant, kb)
        return BuildTask(
            tenant=tenant,
            kb=kb,
            document=state.document,
            revision=state.revision,
            size_bytes=state.size_bytes,
            source=f"{prefix}{digest}.source",
            piece=f"{prefix}{digest}.piece",
            encoder=self._encoder.name,
            ingest=INGEST_RULES,
        )

    def ours(self, task: BuildTask) -> bool:
        """Tell whether this process makes what the task asks for, under the name that it says."""
        state = FileState(task.document, task.revision, task.size_bytes)
        try:
            # Both are steps in the names of what is read and written.
            checked_id("tenant", task.tenant), checked_id("kb", task.kb)
        except Malformed:
            return False
        return task == self.task(task.tenant, task.kb, state)

    def there(self, task: BuildTask) -> bool:
        """Tell whether the piece exists."""
        return task.piece in self._store.list(task.piece)

    def put_source(self, task: BuildTask, content: bytes) -> None:
        """Store a document's bytes for the workers."""
        self._store.put_if_absent(task.source, content)

    def source(self, task: BuildTask) -> bytes | None:
        """Return those bytes; None where nobody wants the piece any more."""
        content = self._store.get(task.source)
        if content is None or hashlib.sha256(content).hexdigest() != task.revision:
            return None
        return content

    def wanted(self, task: BuildTask) -> bool:
        """Tell whether the bytes are still there."""
        return task.source in self._store.list(task.source)

    def put(self, task: BuildTask, it: Ingested) -> None:
        """Store the piece of a task."""
        head, text = packed(it)
        spaces = dict(it.vectors or {})
        head["file_bytes"] = it.file_bytes
        head["text_bytes"] = len(text)
        head["spaces"] = [[name, len(found.positions)] for name, found in spaces.items()]
        numbers = [
            part.astype(kind, copy=False).tobytes()
            for found in spaces.values()
            for part, kind in ((found.positions, "<i8"), (found.vectors, "<f4"))
        ]
        payload = frame(head, b"".join((text, *numbers)))
        signature = self._signer.sign(_message(task, payload))
        header = f"kotaemon-piece 1 {self._signer.key_id} {signature.hex()}\n".encode()
        self._store.put_if_absent(task.piece, header + payload)

    def get(self, task: BuildTask) -> Ingested | None:
        """Return the document of a piece; None where there is none.

        Raises ``CorruptArtifact`` for one that is damaged or that nobody of us has signed.
        """
        raw = self._store.get(task.piece)
        if raw is None:
            return None
        line, _, payload = raw[:_HEADER_BYTES_MAX].partition(b"\n")
        header = _HEADER.fullmatch(line)
        if header is None:
            raise CorruptArtifact(f"{task.piece} is not signed")
        payload = raw[len(line) + 1 :]
        self._verifier.check(
            _message(task, payload),
            key_id=header[1].decode(),
            signature=bytes.fromhex(header[2].decode()),
        )
        try:
            return self._read(task, *taken_apart(payload))
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptArtifact(f"{task.piece} is damaged: {error}") from error

    def remove(self, task: BuildTask) -> None:
        """Remove a piece and the bytes it was made of."""
        self._store.delete(task.piece)
        self._store.delete(task.source)

    def remove_all(self, tenant: str, kb: str) -> int:
        """Remove what is left of all tasks of a knowledge base; return how many files."""
        names = list(self._store.list(building_prefix(tenant, kb)))
        for name in names:
            self._store.delete(name)
        return len(names)

    def _read(self, task: BuildTask, head: Mapping[str, Any], body: bytes) -> Ingested:
        text = body[: head["text_bytes"]]
        it = unpacked(task.document, task.revision, head["file_bytes"], head, text)
        at = len(text)
        vectors: dict[str, SpaceVectors] = {}
        for name, rows in head["spaces"]:
            positions = np.frombuffer(body, "<i8", rows, at).astype(np.int64)
            at += positions.nbytes
            dimension = self._encoder.spaces[name]
            found = np.frombuffer(body, "<f4", rows * dimension, at).reshape(rows, dimension)
            at += found.nbytes
            vectors[name] = _checked(positions, found, passages=len(it.passages))
        return it if it.reason is not None else replace(it, vectors=vectors)


def _checked(positions: Any, vectors: Any, *, passages: int) -> SpaceVectors:
    if len(positions) and not (
        positions[0] >= 0 and positions[-1] < passages and (np.diff(positions) > 0).all()
    ):
        raise Nonsense("positions of vectors are none")
    lengths = np.linalg.norm(vectors, axis=1)
    if not (np.abs(lengths - 1.0) < _LENGTH_ERROR_MAX).all():
        raise Nonsense("a vector has not the length 1")
    return SpaceVectors(positions=positions, vectors=vectors.astype(np.float32))


def _message(task: BuildTask, payload: bytes) -> bytes:
    return _PURPOSE + task.piece.encode() + b"\n" + payload
