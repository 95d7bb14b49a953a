"""How much of a question each of some sentences holds."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from kotaemon_node.domain.words import CHARACTER_WEIGHT, is_cjk, telling_words, words

# Enough to bring "ships", "shipping" and "shipped" together when sentences of a few passages are
# compared; the index stems properly.
_SUFFIXES: Final = ("ingly", "edly", "ings", "ing", "ies", "ied", "ed", "es", "ly", "s", "e", "y")
_STEM_CHARS_MIN: Final = 3


class Matcher:
    """Compares sentences with a question. A word weighs more the fewer of the sentences hold it."""

    def __init__(self, question: str, sentences: Sequence[str]) -> None:
        asked = set(map(stem, telling_words(question)))
        held = [asked.intersection(map(stem, words(sentence))) for sentence in sentences]
        holding = Counter(word for found in held for word in found)
        total = len(sentences)
        # Words that no sentence holds cannot tell sentences apart; the search has judged them.
        weights = {
            word: math.log(1 + (total - count + 0.5) / (count + 0.5)) * importance(word)
            for word, count in sorted(holding.items())
        }
        asked_weight = sum(weights.values()) or 1.0
        self.shares = [
            sum(weights[word] for word in sorted(found)) / asked_weight for found in held
        ]
        """Share of the question's words, by weight, that each sentence holds, 0 to 1."""


def importance(word: str) -> float:
    """Return how much a word of a question says beside others."""
    return CHARACTER_WEIGHT if len(word) == 1 and is_cjk(word) else 1.0


def stem(word: str) -> str:
    """Return what the forms of a word share, roughly; a word of CJK as it is."""
    if is_cjk(word):
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _STEM_CHARS_MIN:
            word = word[: -len(suffix)]
            break
    # "shipped" leaves a doubled letter that "ships" has not, and "calls" must still meet "call".
    return word[:-1] if len(word) > _STEM_CHARS_MIN and word[-1] == word[-2] else word
