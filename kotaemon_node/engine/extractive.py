"""Answers from the passages alone: their best sentences, word for word, each with its citation.

No model and no encoder is asked, so this is also what an answer falls back to. Law: the text is
made of exact pieces of passages, of citation marks and blanks, and of the fixed sentences below.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.domain.knowledge import Hit
from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.domain.sentences import Span, sentence_spans
from kotaemon_node.engine.matching import Matcher

# A passage answers when its closeness (contrast, 0 to 1) and its words (coverage, 0 to 1) together
# reach this. Measured in load/results/answers.md; one figure serves all models, since contrast is
# the same scale for all.
EVIDENCE_MIN: Final = 0.65
# Passages whose evidence is this much weaker than the best one's are about something else.
_EVIDENCE_SHARE_MIN: Final = 0.7
# Sentences that hold this much less of the question than the best one are not needed.
_MATCH_SHARE_MIN: Final = 0.4
_SENTENCES_MAX: Final = 4
_FAQ_CHARS_MAX: Final = 1_200  # an answer of an FAQ is shown whole up to here, then by sentences

_UNKNOWN: Final[Mapping[Language, str]] = {
    "en": (
        "I don't know: I found nothing about this in the documents. "
        "You could use other words, ask about one thing at a time, or add a document about it."
    ),
    "zh": (
        "我不知道：现有的文档里没有找到相关内容。"
        "您可以换一种说法、一次只问一件事，或者补充相关的文档。"
    ),
}
# Said before an answer that could not be found in the question's language.
_FOREIGN: Final[Mapping[Language, str]] = {
    "en": "The documents say this in another language:",
    "zh": "文档中只有其他语言的说明，原文如下：",
}
_PIECE: Final = re.compile(r"\s*(?:[\u2e80-\uffef]{1,3}|[^\s\u2e80-\uffef]+)")
_WORDS_PER_PIECE: Final = 4
_LINE_MARK: Final = re.compile(r"\s*(?:[-*+•]\s|#{1,6}\s|\d{1,3}[.)、]|\||>|```)")


@dataclass(frozen=True, slots=True)
class CitedSentence:
    """A piece of a passage, as it stands there, and the number ``n`` under which it is cited."""

    text: str
    n: int


@dataclass(frozen=True, slots=True)
class ExtractiveAnswer:
    """An answer; ``cited[n - 1]`` is the passage cited as ``[n]``.

    ``known`` is False when nothing fits: then there are no sentences, and the text says so.
    """

    sentences: tuple[CitedSentence, ...]
    cited: tuple[Hit, ...]
    known: bool
    language: Language
    """That of the question."""

    @property
    def text(self) -> str:
        """The whole answer."""
        if not self.known:
            return _UNKNOWN[self.language]
        foreign = all(hit.passage.language != self.language for hit in self.cited)
        text = _FOREIGN[self.language] if foreign else ""
        before = text
        for sentence in self.sentences:
            mark = f"[{sentence.n}]" if language_of(sentence.text) == "zh" else f" [{sentence.n}]"
            text += _separator(before, sentence.text) + sentence.text + mark
            before = sentence.text
        return text

    def pieces(self) -> Iterator[str]:
        """Yield the text in pieces of some words, as a stream shows them; always cut alike."""
        text = self.text
        words = [match.group() for match in _PIECE.finditer(text)]
        for start in range(0, len(words), _WORDS_PER_PIECE):
            yield "".join(words[start : start + _WORDS_PER_PIECE])


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sentence that may be shown: ``span`` in the text of hit number ``hit``."""

    hit: int
    span: Span
    text: str


def extract(question: str, hits: Sequence[Hit]) -> ExtractiveAnswer:
    """Answer ``question`` with sentences of ``hits``, which are best first."""
    language = language_of(question)
    usable = _usable(hits, language)
    if not usable:
        return ExtractiveAnswer((), (), known=False, language=language)
    best = max(usable, key=lambda hit: evidence(hit, language))
    if best.passage.kind == "faq":
        usable = [best]
        chosen = [_Candidate(0, span, best.passage.text[slice(*span)]) for span in _faq(best)]
    else:
        chosen = _choose(question, usable, language)
    return _cite(usable, chosen, language)


def evidence(hit: Hit, language: Language) -> float:
    """Return how much speaks for a passage as an answer to a question in ``language``, 0 to 2."""
    closeness = hit.contrast if hit.contrast is not None else (hit.dense or 0.0)
    # Words of two languages hardly meet, so closeness has to stand for both.
    weight = 1 if hit.passage.language == language else 2
    return weight * closeness + hit.coverage


def _usable(hits: Sequence[Hit], language: Language) -> list[Hit]:
    """Keep the passages that answer; those of another language only when there is no other."""
    own = [hit for hit in hits if hit.passage.language == language]
    foreign = [hit for hit in hits if hit.passage.language != language]
    for group in (own, foreign):
        best = max((evidence(hit, language) for hit in group), default=0.0)
        if best >= EVIDENCE_MIN:
            return [hit for hit in group if evidence(hit, language) >= _EVIDENCE_SHARE_MIN * best]
    return []


def _faq(hit: Hit) -> list[Span]:
    """Return the answer of an FAQ entry: whole, or its first sentences where it is long."""
    text = hit.passage.text
    start = text.find("\n") + 1
    spans = [(start + begin, start + end) for begin, end in sentence_spans(text[start:])]
    if not spans:
        return [(0, len(text))]
    if spans[-1][1] - spans[0][0] <= _FAQ_CHARS_MAX:
        return [(spans[0][0], spans[-1][1])]
    return spans[:_SENTENCES_MAX]


def _choose(question: str, hits: Sequence[Hit], language: Language) -> list[_Candidate]:
    """Return the best sentences: passages in the order of their best one, each in its own order."""
    candidates = [
        _Candidate(number, span, hit.passage.text[slice(*span)])
        for number, hit in enumerate(hits)
        for span in sentence_spans(hit.passage.text)
    ]
    matches = Matcher(question, [candidate.text for candidate in candidates]).shares
    scores = [
        match + evidence(hits[candidate.hit], language)
        for match, candidate in zip(matches, candidates, strict=True)
    ]
    ranked = sorted(range(len(candidates)), key=lambda at: (-scores[at], at))
    needed = _MATCH_SHARE_MIN * matches[ranked[0]]
    kept = [at for at in ranked if matches[at] >= needed][:_SENTENCES_MAX]
    order = list(dict.fromkeys(candidates[at].hit for at in kept))
    return sorted((candidates[at] for at in kept), key=lambda one: (order.index(one.hit), one.span))


def _cite(
    hits: Sequence[Hit], chosen: Sequence[_Candidate], language: Language
) -> ExtractiveAnswer:
    numbers: dict[int, int] = {}
    sentences = tuple(
        CitedSentence(text=one.text, n=numbers.setdefault(one.hit, len(numbers) + 1))
        for one in chosen
    )
    cited = tuple(hits[number] for number in numbers)
    return ExtractiveAnswer(sentences, cited, known=True, language=language)


def _separator(before: str, following: str) -> str:
    """Return what stands between two pieces so that lists, rows and both languages read well."""
    if not before:
        return ""
    if any("\n" in piece or _LINE_MARK.match(piece) for piece in (before, following)):
        return "\n"
    return "" if language_of(before) == language_of(following) == "zh" else " "
