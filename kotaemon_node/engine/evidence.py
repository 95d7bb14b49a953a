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
        closeness = hit.contrast if hit.contrast is not None else hit.dense
        if hit.passage.language != self.language:
            return _FOREIGN_WEIGHT * (closeness or 0.0)
        said = _COVERAGE_WEIGHT * hit.coverage + _NEARNESS_WEIGHT * self._nearness(hit.passage)
        missing = _MISSING_WEIGHT * self._missing(hit.passage)
        if closeness is None:
            return _WORDS_ALONE_WEIGHT * said - missing
        return closeness + said - missing

    def best(self, hits: Sequence[Hit]) -> float:
        """Return the evidence of the best passage; 0 where there is none."""
        return max(map(self.of, hits), default=0.0)

    def _nearness(self, passage: Passage) -> float:
        """Return the share of the question's words in two sentences with what stands above them."""
        total = sum(self._weights.values())
        if not total:
            return 0.0
        question, _, answer = passage.text.partition("\n")
        text = answer if passage.kind == "faq" and answer else passage.text
        above = [passage.title, *passage.heading, question if text is answer else ""]
        known = self._held("\n".join(above))
        held = [self._held(text[start:end]) for start, end in sentence_spans(text)]
        pairs = [one | other for one, other in pairwise(held)] or held
        shares = [sum(map(self._weights.__getitem__, sorted(known | pair))) for pair in pairs]
        return max(shares, default=0.0) / total

    def _held(self, text: str) -> set[str]:
        return self._weights.keys() & stems_of(text)

    def _missing(self, passage: Passage) -> float:
        """Return the share of the numbers and names asked about that the passage lacks."""
        asked = len(self._numbers) + len(self._names)
        if not asked:
            return 0.0
        known = Evidence.of(passage)
        numbers = known.numbers if self._numbers else frozenset[str]()
        lacking = sum(number not in numbers for number in self._numbers)
        return (lacking + sum(not known.names(name) for name in self._names)) / asked
