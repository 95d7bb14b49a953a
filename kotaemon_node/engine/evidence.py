"""How much speaks for a passage as the answer to a question; on it rests every "I don't know".

evidence = closeness + 0.7 x coverage + 0.3 x nearness - 0.2 x missing, where

- closeness (``Hit.contrast``) is how much nearer the passage is in meaning than any other text;
- coverage (``Hit.coverage``) is the share of the question's words in the passage, rare ones more;
- nearness is their share in two neighbouring sentences: strewn over a passage they say less;
- missing is the share of the numbers and names in the question that the passage lacks: a passage
  about another year or another product reads almost the same.

Words of two languages hardly meet, so for a passage in another one closeness counts twice and the
rest not at all. Where nothing was searched by meaning, words count half as much again. No model
and no encoder is asked. What the weights bring was measured over a dozen public sets in both
languages together, and is little beyond closeness and coverage: load/results/answers.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Final

from kotaemon_node.domain.knowledge import Hit, Passage
from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.domain.sentences import sentence_spans
from kotaemon_node.domain.words import telling_words
from kotaemon_node.engine.matching import importance, stem, stems_of
from kotaemon_node.engine.support import Claim, Evidence

_COVERAGE_WEIGHT: Final = 0.7
_NEARNESS_WEIGHT: Final = 0.3
_MISSING_WEIGHT: Final = 0.2
_FOREIGN_WEIGHT: Final = 2.0
_WORDS_ALONE_WEIGHT: Final = 1.5
# Longer ones tell a story; what they name is not all asked for, and looking it up takes long.
_NAMES_MAX: Final = 32
_ROUNDED: Final = 1e-9
"""Shares add up to a little more than 1 where they are rounded."""
_PASSAGES_KEPT: Final = 2_048
"""Whose words are remembered: some 5 kB each. What is asked about often is weighed often."""


@dataclass(frozen=True)
class _Reading:
    """The words of a passage, which no question changes."""

    passage: Passage

    @cached_property
    def evidence(self) -> Evidence:
        """What numbers and names are looked for in."""
        return Evidence.of(self.passage)

    @cached_property
    def above(self) -> frozenset[str]:
        """Those that stand above its sentences."""
        question = self._parts[0]
        return stems_of("\n".join((self.passage.title, *self.passage.heading, question)))

    @cached_property
    def neighbours(self) -> tuple[frozenset[str], ...]:
        """Those of each two neighbouring sentences; of the only one where there are no two."""
        text = self._parts[1]
        held = [stems_of(text[start:end]) for start, end in sentence_spans(text)]
        return tuple(one | other for one, other in pairwise(held)) or tuple(held)

    @property
    def _parts(self) -> tuple[str, str]:
        question, _, answer = self.passage.text.partition("\n")
        asked = self.passage.kind == "faq" and answer
        return (question, answer) if asked else ("", self.passage.text)


_read = lru_cache(maxsize=_PASSAGES_KEPT)(_Reading)


class Weighing:
    """Weighs passages as answers to one question."""

    def __init__(self, question: str) -> None:
        self.language: Language = language_of(question)
        self._weights = {stem(word): importance(word) for word in telling_words(question)}
        claim = Claim(question)
        self._numbers = sorted(claim.numbers)[:_NAMES_MAX]
        self._names = sorted(claim.names)[:_NAMES_MAX]

    def of(self, hit: Hit) -> float:
        """Return the evidence of a passage: 0 for any text, 2 at most."""
        passage = hit.passage
        if passage.language != self.language:
            return _foreign(hit)
        return _said(hit, nearness=self._nearness(passage), missing=self._missing(passage))

    def most(self, hit: Hit) -> float:
        """Return what ``of`` cannot exceed, without looking at the passage's words."""
        if hit.passage.language != self.language:
            return _foreign(hit)
        return _said(hit, nearness=1.0 + _ROUNDED, missing=0.0)

    def best(self, hits: Sequence[Hit]) -> float:
        """Return the evidence of the best passage; 0 where there is none."""
        return max(map(self.of, hits), default=0.0)

    def _nearness(self, passage: Passage) -> float:
        """Return the share of the question's words in two sentences with what stands above them."""
        total = sum(self._weights.values())
        if not total:
            return 0.0
        reading, asked = _read(passage), self._weights.keys()
        known = asked & reading.above
        pairs = [known | (asked & words) for words in reading.neighbours]
        shares = [sum(map(self._weights.__getitem__, sorted(pair))) for pair in pairs]
        return max(shares, default=0.0) / total

    def _missing(self, passage: Passage) -> float:
        """Return the share of the numbers and names asked about that the passage lacks."""
        asked = len(self._numbers) + len(self._names)
        if not asked:
            return 0.0
        known = _read(passage).evidence
        lacking = sum(not known.has_number(number) for number in self._numbers)
        return (lacking + sum(not known.names(name) for name in self._names)) / asked


def _closeness(hit: Hit) -> float | None:
    return hit.contrast if hit.contrast is not None else hit.dense


def _foreign(hit: Hit) -> float:
    return _FOREIGN_WEIGHT * (_closeness(hit) or 0.0)


def _said(hit: Hit, *, nearness: float, missing: float) -> float:
    """Return the evidence of a passage in the language of the question."""
    closeness = _closeness(hit)
    said = _COVERAGE_WEIGHT * hit.coverage + _NEARNESS_WEIGHT * nearness
    lacks = _MISSING_WEIGHT * missing
    if closeness is None:
        return _WORDS_ALONE_WEIGHT * said - lacks
    return closeness + said - lacks
