"""Tells whether two passages say the same twice."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.knowledge import Passage
from kotaemon_node.retrieval.analysis import terms

# Spans of one document that share more than half of the shorter one are the same place.
_SPAN_SHARE_MAX: Final = 0.5
# Copies of a text have nearly the same vector. The opposite is not true ("within 3 days", "within
# 30 days"), so the vector only says where a look at the words is worth its time.
_CLOSENESS_SUSPECT: Final = 0.95
_TERMS_SHARE_MAX: Final = 0.9

# One search compares each of its passages with every better one.
_TEXTS_KEPT: Final = 128

Vectors = Mapping[str, NDArray[np.float32]]


def same_place(one: Passage, other: Passage) -> bool:
    """True for passages of one document whose spans overlap by more than half."""
    if one.document != other.document:
        return False
    shared = min(one.span[1], other.span[1]) - max(one.span[0], other.span[0])
    shorter = min(one.span[1] - one.span[0], other.span[1] - other.span[0])
    return shared > _SPAN_SHARE_MAX * shorter


def same_words(one: Passage, other: Passage, vectors: tuple[Vectors, Vectors]) -> bool:
    """True for passages that are nearly word for word the same and have the same numbers."""
    if one.text == other.text:
        return True
    common = vectors[0].keys() & vectors[1].keys()
    if not any(float(vectors[0][at] @ vectors[1][at]) >= _CLOSENESS_SUSPECT for at in common):
        return False
    words, others = _terms_of(one.text), _terms_of(other.text)
    if any(char.isdigit() for term in words ^ others for char in term):
        return False
    return len(words & others) >= _TERMS_SHARE_MAX * len(words | others)


@lru_cache(maxsize=_TEXTS_KEPT)
def _terms_of(text: str) -> frozenset[str]:
    return frozenset(terms(text))
