"""Closeness of meaning and of words as one score: a convex combination of both.

S. Bruch, S. Gai, A. Ingber: An Analysis of Fusion Functions for Hybrid Retrieval (2023): scores say
by how much a passage is the better one. Ranks forget that, and a leg that knows nothing outvotes
one that is sure. What else was found must not change the score of a passage, so both parts have
scales of their own: meaning is 0 for what is as close as any text and 1 for the same text
(``background.Contrast``); words are BM25 as a share of what it could reach for the question.
"""

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

# What meaning counts, and words the rest. Measured in load/results/retrieval.md: 0.3 to 0.5 are
# equally good over all sets, 0.4 is chosen whichever set is left out.
MEANING: Final = 0.4
# The same for a passage in another language than the question. Its words hardly meet those of the
# question, but names and numbers do; knowledge in the question's own language still goes first.
MEANING_FOREIGN: Final = 0.7

_Closeness = TypeVar("_Closeness", float, NDArray[np.float64])


def fused(meaning: _Closeness, words: _Closeness, *, foreign: bool = False) -> _Closeness:
    """Return the score of passages by both; higher is closer, 1 at most but for foreign ones."""
    return (MEANING_FOREIGN if foreign else MEANING) * meaning + (1 - MEANING) * words
