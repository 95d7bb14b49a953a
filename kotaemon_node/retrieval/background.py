"""How close a question is to passages that have nothing to do with it.

Closeness has no scale of its own: one model calls strangers 0.0, another 0.45; in a narrow
knowledge base everything is a little alike; and to most models a text in the other language is
farther away than any in the question's own. What a question's closeness to a passage means shows
only against its closeness to others of that language: a sample of the knowledge base, and for small
ones some sentences about everyday things.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.retrieval.dense import EncodedQuestion
from kotaemon_node.retrieval.generation import OpenGeneration

Background = Mapping[tuple[str, Language | None], NDArray[np.float32]]
"""(space, language) to vectors of texts in that language; language None: of all in the space."""

# The median of 64 is within a few hundredths of that of all, and costs microseconds.
SAMPLE_ROWS: Final = 64

_EVERYDAY: Final = (
    "It rained all morning, and in the afternoon the sun came out.",
    "The cook chops the onions and fries them in butter.",
    "Our team lost the match by two goals.",
    "She learned to play the violin when she was six.",
    "The train to the coast leaves from platform four.",
    "Whales breathe air and feed their young with milk.",
    "The council voted on the new bridge last Tuesday.",
    "A triangle has three sides and three angles.",
    "早上一直在下雨，下午太阳出来了。",
    "厨师把洋葱切碎，用黄油炒香。",
    "我们队以两球之差输掉了比赛。",
    "她六岁的时候学会了拉小提琴。",
    "去海边的火车从四号站台出发。",
    "鲸鱼用肺呼吸，用乳汁喂养幼崽。",
    "议会上周二对新桥进行了表决。",
    "三角形有三条边和三个角。",
)


# With fewer of a language its median says little, and that of all in the space stands for it.
_OF_A_LANGUAGE_MIN: Final = 8


def everyday_background(encoder: Encoder) -> Background:
    """Return the vectors of sentences that no knowledge base is about."""
    rows: _Rows = []
    for space, found in encoder.encode_passages(_EVERYDAY).items():
        for position, vector in zip(found.positions.tolist(), found.vectors, strict=True):
            rows.append((space, language_of(_EVERYDAY[position]), vector))
    return _by_space_and_language(rows)


def background_of(generation: OpenGeneration, everyday: Background) -> Background:
    """Return the background of a generation: the same one however it is cut into segments."""
    rows: _Rows = [
        (space, language, vector)
        for (space, language), vectors in everyday.items()
        if language is not None
        for vector in vectors
    ]
    for row in generation.sample(SAMPLE_ROWS):
        language = generation.passage(row).language
        rows += [(space, language, vector) for space, vector in generation.vector(row).items()]
    return _by_space_and_language(rows)


class Contrast:
    """Tells how far a closeness stands out, for one question."""

    def __init__(self, question: EncodedQuestion, background: Background) -> None:
        self._usual = {
            (space, language): _median(vectors @ question[space])
            for (space, language), vectors in background.items()
            if space in question
        }

    def of(self, closeness: float, *, space: str, language: Language | None) -> float:
        """Return 0 for what is as close as any text of its language, 1 for the same text.

        ``language`` None: as any text.
        """
        usual = self._usual.get((space, language), self._usual.get((space, None), 0.0))
        return (closeness - usual) / max(1.0 - usual, 1e-6)


_Rows = list[tuple[str, Language, NDArray[np.float32]]]


def _median(values: NDArray[np.float32]) -> float:
    """Return the (upper) median; that of numpy takes ten times as long for so few."""
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])


def _by_space_and_language(rows: _Rows) -> Background:
    found: dict[tuple[str, Language | None], list[NDArray[np.float32]]] = {}
    for space, language, vector in rows:
        found.setdefault((space, language), []).append(vector)
        found.setdefault((space, None), []).append(vector)
    return {
        (space, language): np.stack(vectors)
        for (space, language), vectors in found.items()
        if language is None or len(vectors) >= _OF_A_LANGUAGE_MIN
    }
