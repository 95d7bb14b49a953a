"""How close a question is to passages that have nothing to do with it.

Closeness has no scale of its own: one model calls strangers 0.0, another 0.45, and in a narrow
knowledge base everything is a little alike. What a question's closeness to a passage means shows
only against its closeness to the rest: a sample of the knowledge base, and for small ones some
sentences about everyday things.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.retrieval.dense import EncodedQuestion
from kotaemon_node.retrieval.generation import OpenGeneration

Vectors = Mapping[str, NDArray[np.float32]]
"""Space to vectors, (n, dimension)."""

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


def everyday_vectors(encoder: Encoder) -> Vectors:
    """Return the vectors of sentences that no knowledge base is about."""
    encoded = encoder.encode_passages(_EVERYDAY)
    return {space: rows.vectors for space, rows in encoded.items()}


def sample_vectors(generation: OpenGeneration, everyday: Vectors) -> Vectors:
    """Return the background of a generation: the same one however it is cut into segments."""
    live = np.flatnonzero(generation.live)
    in_order = live[np.argsort(generation.order[live])]
    places = np.linspace(0, len(live) - 1, num=min(SAMPLE_ROWS, len(live)), dtype=np.int64)
    found: dict[str, list[NDArray[np.float32]]] = {
        space: list(vectors) for space, vectors in everyday.items()
    }
    for row in in_order[places].tolist():
        for space, vector in generation.vector(row).items():
            found.setdefault(space, []).append(vector)
    return {space: np.stack(vectors) for space, vectors in found.items()}


def background_closeness(question: EncodedQuestion, background: Vectors) -> Mapping[str, float]:
    """Return the median closeness of the question to the background, by space."""
    common: Iterable[str] = question.keys() & background.keys()
    return {space: float(np.median(background[space] @ question[space])) for space in common}


def contrast(closeness: float, background: float) -> float:
    """Return how far ``closeness`` stands out: 0 as the background, 1 for the same text."""
    return (closeness - background) / max(1.0 - background, 1e-6)
