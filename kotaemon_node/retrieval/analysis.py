"""Texts to terms: what the lexical index counts and what questions are scored by."""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import Stemmer

from kotaemon_node.domain.words import CHARACTER_WEIGHT, is_cjk, telling_words, words

ANALYSIS: Final = "words/2+snowball-english"
"""Names how terms are made. A segment answers only questions whose terms are made the same way, so
manifests carry it in ``extra["analysis"]``, and a change of rules is a new name and a rebuild."""

_STEMS_KEPT: Final = 65_536  # more than a vocabulary in daily use
_KEPT_CHARS_MAX: Final = 64


def terms(text: str) -> Mapping[str, int]:
    """Return the terms of ``text`` and how often each occurs; empty for a text without words."""
    return Counter(map(_stem, words(text)))


def question_terms(question: str) -> Mapping[str, float]:
    """Return the terms of a question without its small words, and how much each asks for.

    A question of nothing but small words keeps them: the index has them too.
    """
    counts = Counter(map(_stem, telling_words(question)))
    return {
        term: count * (CHARACTER_WEIGHT if len(term) == 1 and is_cjk(term) else 1.0)
        for term, count in counts.items()
    }


def _stem(word: str) -> str:
    # Longer ones are no words; kept by the thousand they would fill the memory.
    return (_kept_stem if len(word) <= _KEPT_CHARS_MAX else _stemmed)(word)


def _stemmed(word: str) -> str:
    # A stemmer takes less than 1 µs to make, and one must not be used by two threads at once.
    return str(Stemmer.Stemmer("english").stemWord(word)) if word.isascii() else word


_kept_stem: Final = lru_cache(maxsize=_STEMS_KEPT)(_stemmed)
