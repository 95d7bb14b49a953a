"""One model a language: each text goes to the model of its language, each in its own space."""

from collections.abc import Callable, Mapping, Sequence
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.ports.encoder import Encoder, SpaceVectors


class RoutedEncoder:
    """Encoders by language; one may serve several languages."""

    def __init__(self, encoders: Mapping[Language, Encoder]) -> None:
        """Route by ``encoders``: one for each language, none sharing a space (``ValueError``)."""
        self._encoders = dict(encoders)
        distinct = {id(encoder): encoder for encoder in self._encoders.values()}.values()
        self._spaces = {
            space: size for encoder in distinct for space, size in encoder.spaces.items()
        }
        if set(self._encoders) != set(get_args(Language)):
            raise ValueError(f"an encoder is needed for each of {get_args(Language)}")
        if len(self._spaces) != sum(len(encoder.spaces) for encoder in distinct):
            raise ValueError("encoders must not share a space")

    @property
    def name(self) -> str:
        return "+".join(f"{language}={it.name}" for language, it in sorted(self._encoders.items()))

    @property
    def spaces(self) -> Mapping[str, int]:
        return dict(self._spaces)

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._route(texts, lambda encoder: encoder.encode_passages)

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._route(texts, lambda encoder: encoder.encode_queries)

    def _route(
        self,
        texts: Sequence[str],
        method: Callable[[Encoder], Callable[[Sequence[str]], Mapping[str, SpaceVectors]]],
    ) -> Mapping[str, SpaceVectors]:
        routes: dict[int, tuple[Encoder, list[int]]] = {}
        for position, text in enumerate(texts):
            encoder = self._encoders[language_of(text)]
            routes.setdefault(id(encoder), (encoder, []))[1].append(position)
        vectors: dict[str, SpaceVectors] = {}
        for encoder, positions in routes.values():
            encoded = method(encoder)([texts[position] for position in positions])
            vectors.update(_in_call(encoded, np.asarray(positions, dtype=np.int64)))
        return vectors


def _in_call(
    encoded: Mapping[str, SpaceVectors], positions: NDArray[np.int64]
) -> Mapping[str, SpaceVectors]:
    """Number the rows by the whole call, where they were numbered by one encoder's share of it."""
    return {
        space: SpaceVectors(positions=positions[rows.positions], vectors=rows.vectors)
        for space, rows in encoded.items()
    }
