"""How much of a question each of some texts holds."""

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from kotaemon_node.domain.words import CHARACTER_WEIGHT, is_cjk, telling_words, words

# Enough to bring "ships", "shipping" and "shipped" together when sentences of a few passages are
# compared; the index stems properly.
_SUFFIXES: Final = ("ingly", "edly", "ings", "ing", "ies", "ied", "ed", "es", "ly", "s", "e", "y")
_STEM_CHARS_MIN: Final = 3


# Sentences whose stems are remembered: those of some hundred passages, a few megabytes. What many
# people ask about is compared again and again, and one answer looks at each sentence twice.
_TEXTS_KEPT: Final = 2_048
_WORDS_KEPT: Final = 65_536  # more than a vocabulary in daily use
_WORD_CHARS_MAX: Final = 64


def shares(question: str, texts: Sequence[frozenset[str]]) -> list[float]:
    """Return the share of the question's words that each of some texts holds, 0 to 1.

    Texts are told as ``stems_of``. A word weighs more the fewer of them hold it.
    """
    asked = {stem(word) for word in telling_words(question)}
    held = [asked & text for text in texts]
    holding = Counter(word for found in held for word in found)
    total = len(texts)
    # Words that no text holds cannot tell them apart; the search has judged them.
    weights = {
        word: math.log(1 + (total - count + 0.5) / (count + 0.5)) * importance(word)
        for word, count in sorted(holding.items())
    }
    asked_weight = sum(weights.values()) or 1.0
    return [sum(weights[word] for word in sorted(found)) / asked_weight for found in held]


@lru_cache(maxsize=_TEXTS_KEPT)
def stems_of(text: str) -> frozenset[str]:
    """Return the stems of the words of a text."""
    return frozenset(map(stem, set(words(text))))


def importance(word: str) -> float:
    """Return how much a word of a question says beside others."""
    return CHARACTER_WEIGHT if len(word) == 1 and is_cjk(word) else 1.0


def stem(word: str) -> str:
    """Return what the forms of a word share, roughly; a word of CJK as it is."""
    # What is longer is no word; kept by the thousand it would fill the memory.
    return _stem(word) if len(word) <= _WORD_CHARS_MAX else word


@lru_cache(maxsize=_WORDS_KEPT)
def _stem(word: str) -> str:
    if is_cjk(word):
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _STEM_CHARS_MIN:
            word = word[: -len(suffix)]
            break
    # "shipped" leaves a doubled letter that "ships" has not, and "calls" must still meet "call".
    return word[:-1] if len(word) > _STEM_CHARS_MIN and word[-1] == word[-2] else word
