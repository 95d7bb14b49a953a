"""An encoder without a model: words are hashed to directions, so shared words mean closeness."""

import hashlib
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.language import language_of
from kotaemon_node.ports.encoder import SpaceVectors

_WORD = re.compile(r"[\u3400-\u9fff]|\w+")


class HashingEncoder:
    """``ports.encoder.Encoder``. With ``by_language`` it has one space a language, else one."""

    def __init__(
        self, name: str = "hashing", *, dimension: int = 64, by_language: bool = False
    ) -> None:
        self._name = name
        self._by_language = by_language
        self._dimension = dimension
        self.calls: list[list[str]] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def spaces(self) -> Mapping[str, int]:
        names = ("en", "zh") if self._by_language else ("all",)
        return dict.fromkeys(names, self._dimension)

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._encode(texts)

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        self.calls.append(list(texts))
        return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        positions: dict[str, list[int]] = {}
        for position, text in enumerate(texts):
            space = language_of(text) if self._by_language else "all"
            positions.setdefault(space, []).append(position)
        return {
            space: SpaceVectors(
                positions=np.array(rows, dtype=np.int64),
                vectors=np.stack([self._vector(texts[row]) for row in rows]),
            )
            for space, rows in positions.items()
        }

    def _vector(self, text: str) -> NDArray[np.float32]:
        vector = np.full(self._dimension, 1e-3, dtype=np.float32)
        for word in _WORD.findall(text.lower()):
            digest = hashlib.sha256(word.encode()).digest()
            vector[digest[0] % self._dimension] += 1.0 if digest[1] % 2 else -1.0
        unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
        return unit.astype(np.float32)
