"""Vectors that are kept between measures: encoding is most of their time, and texts stay."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from coordinator.once import build_once, made
from kotaemon_node.adapters.signing import (
    TrustedKeys,
    create_signing_key,
    public_key_of,
    read_signing_key,
)
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.evaluation.base import Built, Tell
from kotaemon_node.ports.encoder import Encoder, SpaceVectors

_BATCH: Final = 16


class KeptVectors:
    """``ports.encoder.Encoder`` that encodes each text once; ``save`` writes what it learned."""

    def __init__(self, encoder: Encoder, file: Path, *, until_s: float = math.inf) -> None:
        """Go on with the vectors in ``file`` (.npz), where they are of this encoder.

        Encoding raises ``TimeoutError`` after ``until_s`` (monotonic).
        """
        self._encoder = encoder
        self._file = file
        self._until_s = until_s
        self.name = encoder.name
        self.spaces = encoder.spaces
        self._known: dict[str, dict[str, NDArray[np.float32]]] = {}
        if file.exists():
            self._load()

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        """See the port."""
        return self._encode("p", texts, self._encoder.encode_passages)

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        """See the port."""
        return self._encode("q", texts, self._encoder.encode_queries)

    def save(self) -> None:
        """Write all vectors."""
        arrays: dict[str, Any] = {}
        for space in self.spaces:
            keys = [key for key, vectors in self._known.items() if space in vectors]
            arrays[f"keys:{space}"] = np.array(json.dumps(keys))
            arrays[f"vectors:{space}"] = np.array([self._known[key][space] for key in keys])
        np.savez(self._file, encoder=np.array(self.name), **arrays)

    def _load(self) -> None:
        kept = np.load(self._file)
        if str(kept["encoder"]) != self.name:
            return
        for space in self.spaces:
            vectors = kept[f"vectors:{space}"]
            for key, vector in zip(json.loads(str(kept[f"keys:{space}"])), vectors, strict=True):
                self._known.setdefault(key, {})[space] = vector

    def _encode(
        self,
        kind: str,
        texts: Sequence[str],
        encode: Callable[[Sequence[str]], Mapping[str, SpaceVectors]],
    ) -> Mapping[str, SpaceVectors]:
        # What else is in a batch changes the last digits: texts of one length go together.
        new = sorted({text for text in texts if kind + text not in self._known}, key=len)
        for start in range(0, len(new), _BATCH):
            if time.monotonic() > self._until_s:
                raise TimeoutError
            batch = new[start : start + _BATCH]
            self._known.update((kind + text, {}) for text in batch)
            for space, found in encode(batch).items():
                for position, vector in zip(found.positions.tolist(), found.vectors, strict=True):
                    self._known[kind + batch[position]][space] = vector
        rows: dict[str, list[tuple[int, NDArray[np.float32]]]] = {}
        for position, text in enumerate(texts):
            for space, vector in self._known[kind + text].items():
                rows.setdefault(space, []).append((position, vector))
        return {
            space: SpaceVectors(
                positions=np.array([position for position, _ in found], dtype=np.int64),
                vectors=np.stack([vector for _, vector in found]),
            )
            for space, found in rows.items()
        }


def built_here(encoder: Encoder, documents: Path, room: Path, tell: Tell) -> Built:
    """Build a knowledge base as ``coordinator.once`` does, in this process and by ``encoder``."""
    room.mkdir(parents=True, exist_ok=True)
    key = room / "signing.pem"
    if not key.exists():
        create_signing_key(key)
    signer = read_signing_key(key)
    artifacts = room / "artifacts"
    manifest = build_once(documents, artifacts, encoder=encoder, signer=signer, tell=tell)
    said = made(manifest)
    ref = GenerationRef(said["kb"], said["generation"], said["digest"], said["manifest"])
    failed = tuple((document, reason) for document, reason in said["failed"])
    return Built(ref, said["passages"], failed, artifacts, TrustedKeys([public_key_of(key)]))
