"""An encoder that remembers its last questions: intents and retrieval ask for the same one."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.ports.encoder import Encoder, SpaceVectors, is_elsewhere

_REMEMBERED: Final = 256
"""Questions; 2 KB each. A turn asks twice within milliseconds."""


class RememberingEncoder:
    """``ports.encoder.Encoder`` in front of another; the same vectors."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        # No lock: native threads share none with tasks. Each step below is one of a dictionary's.
        self._known: dict[str, dict[str, NDArray[np.float32]]] = {}

    @property
    def behind(self) -> Encoder:
        """The one that it stands in front of."""
        return self._encoder

    @property
    def elsewhere(self) -> bool:
        """See ``ports.encoder.is_elsewhere``."""
        return is_elsewhere(self._encoder)

    @property
    def name(self) -> str:
        """See the port."""
        return self._encoder.name

    @property
    def spaces(self) -> Mapping[str, int]:
        """See the port."""
        return self._encoder.spaces

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        """See the port."""
        return self._encoder.encode_passages(texts)

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        """See the port."""
        found = {text: self._known.get(text) for text in texts}
        new = [text for text, vectors in found.items() if vectors is None]
        fresh: dict[str, dict[str, NDArray[np.float32]]] = {text: {} for text in new}
        if new:
            for space, rows in self._encoder.encode_queries(new).items():
                for position, vector in zip(rows.positions.tolist(), rows.vectors, strict=True):
                    fresh[new[position]][space] = vector
        for text, vectors in fresh.items():
            self._remember(text, vectors)
        return _by_space([fresh.get(text) or found[text] or {} for text in texts])

    def _remember(self, text: str, vectors: dict[str, NDArray[np.float32]]) -> None:
        self._known[text] = vectors
        while len(self._known) > _REMEMBERED:
            try:
                self._known.pop(next(iter(self._known)), None)
            except (RuntimeError, StopIteration):  # another thread changed it meanwhile
                return


def _by_space(rows: Sequence[Mapping[str, NDArray[np.float32]]]) -> Mapping[str, SpaceVectors]:
    found: dict[str, list[tuple[int, NDArray[np.float32]]]] = {}
    for position, vectors in enumerate(rows):
        for space, vector in vectors.items():
            found.setdefault(space, []).append((position, vector))
    return {
        space: SpaceVectors(
            positions=np.array([position for position, _ in many], dtype=np.int64),
            vectors=np.stack([vector for _, vector in many]),
        )
        for space, many in found.items()
    }
