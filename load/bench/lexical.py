"""A plain BM25 for English and Chinese to measure against; the product's own is another."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

_WORD = re.compile(r"[a-z0-9]+|[\u3400-\u9fff\uf900-\ufaff]+")
_STOP_WORDS = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then "
    "there these they this to was will with what which who how when where why do does did can "
    "could i you my me we our your"
)
_STOP = frozenset(_STOP_WORDS.split())
_SUFFIXES = (("sses", "ss"), ("ies", "i"), ("ing", ""), ("edly", ""), ("ed", ""), ("es", ""))


def terms(text: str) -> Iterator[str]:
    """Yield stemmed English words that are no stop words, and Han characters and bigrams."""
    for match in _WORD.finditer(text.lower()):
        word = match[0]
        if word[0] >= "\u3400":
            yield from word
            yield from (word[at : at + 2] for at in range(len(word) - 1))
        elif word not in _STOP:
            yield _stem(word)


def _stem(word: str) -> str:
    for suffix, ending in (*_SUFFIXES, ("s", "")):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word.removesuffix(suffix) + ending
    return word


def bm25_rankings(
    passages: Sequence[str], queries: Sequence[str], *, depth: int, k1: float = 1.2, b: float = 0.75
) -> list[list[int]]:
    """Return for each query the ``depth`` best passages that share a term with it, best first."""
    counts = [Counter(terms(text)) for text in passages]
    lengths = [count.total() for count in counts]
    mean = sum(lengths) / len(lengths)
    weights: dict[str, dict[int, float]] = defaultdict(dict)
    for row, count in enumerate(counts):
        for term, times in count.items():
            share = times + k1 * (1 - b + b * lengths[row] / mean)
            weights[term][row] = times * (k1 + 1) / share
    rankings = []
    for query in queries:
        scores: dict[int, float] = defaultdict(float)
        for term, times in Counter(terms(query)).items():
            rows = weights.get(term, {})
            rarity = math.log(1 + (len(counts) - len(rows) + 0.5) / (len(rows) + 0.5))
            for row, weight in rows.items():
                scores[row] += times * rarity * weight
        rankings.append(sorted(scores, key=lambda row: (-scores[row], row))[:depth])
    return rankings
