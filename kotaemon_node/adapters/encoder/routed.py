"""One model a language, each in its own space; who asks decides where it is searched.

A question is asked in the space of its language alone: its neighbours in another model's space are
noise. A passage lies in the space of every language whose questions it may answer. ADR 0003 has the
figures: with passages in the space of their own language alone, Chinese questions found nothing in
English documents, and questions for English names nothing in Chinese ones.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.ports.encoder import Encoder, SpaceVectors, is_elsewhere

_ROUTE: Final = "by-reader"
"""Names the rule below in manifests: change it with the rule."""

_LATIN_WORD: Final = re.compile(r"[A-Za-z]{2,}")
# Fewer tell an English model nothing, and pure Chinese is encoded once.
_LATIN_WORDS_MIN: Final = 3


def readers_of(passage: str) -> tuple[Language, ...]:
    """Return the languages whose questions should meet ``passage``.

    Chinese questions meet all: Chinese models are trained on English beside Chinese. English ones
    meet what is not Chinese, or has a few words in Latin letters among the Chinese.
    """
    some = islice(_LATIN_WORD.finditer(passage), _LATIN_WORDS_MIN)
    if len(list(some)) == _LATIN_WORDS_MIN or language_of(passage) == "en":
        return ("en", "zh")
    return ("zh",)


class RoutedEncoder:
    """Encoders by language; one may serve several languages."""

    def __init__(self, encoders: Mapping[Language, Encoder]) -> None:
        """Route to ``encoders``: one for each language, none sharing a space (``ValueError``)."""
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
    def parts(self) -> Sequence[Encoder]:
        """The encoders, each once."""
        return list({id(encoder): encoder for encoder in self._encoders.values()}.values())

    @property
    def elsewhere(self) -> bool:
        """Whether any of them is (``ports.encoder.is_elsewhere``)."""
        return any(is_elsewhere(encoder) for encoder in self._encoders.values())

    @property
    def name(self) -> str:
        routes = sorted(self._encoders.items())
        return f"{_ROUTE}:" + "+".join(f"{language}={it.name}" for language, it in routes)

    @property
    def spaces(self) -> Mapping[str, int]:
        return dict(self._spaces)

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        vectors: dict[str, SpaceVectors] = {}
        for encoder, positions in self._routes([readers_of(text) for text in texts]):
            encoded = encoder.encode_passages([texts[position] for position in positions])
            vectors.update(_in_call(encoded, positions))
        return vectors

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        vectors: dict[str, SpaceVectors] = {}
        for encoder, positions in self._routes([(language_of(text),) for text in texts]):
            encoded = encoder.encode_queries([texts[position] for position in positions])
            vectors.update(_in_call(encoded, positions))
        return vectors

    def _routes(
        self, languages: Sequence[Sequence[Language]]
    ) -> list[tuple[Encoder, NDArray[np.int64]]]:
        """Return each encoder with the numbers of its texts; ``languages`` are those of each."""
        routes: dict[int, tuple[Encoder, list[int]]] = {}
        for position, spoken in enumerate(languages):
            for encoder in {id(it): it for it in map(self._encoders.__getitem__, spoken)}.values():
                routes.setdefault(id(encoder), (encoder, []))[1].append(position)
        return [(encoder, np.asarray(numbers, np.int64)) for encoder, numbers in routes.values()]


def _in_call(
    encoded: Mapping[str, SpaceVectors], positions: NDArray[np.int64]
) -> Mapping[str, SpaceVectors]:
    """Number the rows by the whole call, where they were numbered by one encoder's share of it."""
    return {
        space: SpaceVectors(positions=positions[rows.positions], vectors=rows.vectors)
        for space, rows in encoded.items()
    }
