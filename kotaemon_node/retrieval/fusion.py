"""Closeness of meaning and of words as one score: a convex combination of both.

S. Bruch, S. Gai, A. Ingber: An Analysis of Fusion Functions for Hybrid Retrieval (2023): scores say
by how much a passage is the better one. Ranks forget that, and a leg that knows nothing outvotes
one that is sure. What else was found must not change the score of a passage, so both parts have
scales of their own: meaning is 0 for what is as close as any text and 1 for the same text
(``background.Contrast``); words are BM25 as a share of what it could reach for the question.
"""

import re
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.language import Language

# What meaning counts, and words the rest. Measured on fifteen sets: 0.25 to 0.45 are about equally
# good on average, and 0.4 loses least on the set where it loses most.
MEANING: Final = 0.4
# Words of two languages hardly meet, so closeness has to stand for both, and what names and numbers
# do meet comes on top. From 0.7 to 1.0 knowledge in the question's own language goes first where
# both exist, and what only the other language says is found.
MEANING_FOREIGN: Final = 2 * MEANING

_LATIN: Final = re.compile(r"[A-Za-z0-9_]+")
_SEEN: Final = re.compile(r"\S")
_Closeness = TypeVar("_Closeness", float, NDArray[np.float64])


def trust_in_meaning(question: str, *, language: Language) -> float:
    """Return how far closeness of meaning is to be trusted for ``question``, 0 to 1.

    The names, codes and commands in a Chinese question are no Chinese, and two of them that mean
    different things have nearly the same vector; their words tell them apart. So their share of the
    question's characters is left to the words.
    """
    if language != "zh":
        return 1.0
    latin = sum(map(len, _LATIN.findall(question)))
    return 1.0 - latin / max(1, len(_SEEN.findall(question)))


def fused(
    meaning: _Closeness, words: _Closeness, *, foreign: bool = False, trust: float = 1.0
) -> _Closeness:
    """Return the score of passages by both; higher is closer, 1 at most but for foreign ones.

    ``trust`` is ``trust_in_meaning``: what meaning counts less, words count more.
    """
    share = MEANING * trust
    return share * (MEANING_FOREIGN / MEANING if foreign else 1.0) * meaning + (1 - share) * words
