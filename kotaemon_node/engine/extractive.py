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

# A passage answers when its closeness (contrast) and its share of the question's words (coverage)
# together reach this. Measured in load/results/answers.md; one figure serves all models, because
# contrast is on one scale for all.
EVIDENCE_MIN: Final = 0.55
# Passages whose evidence is this much weaker than the best one's are about something else.
_EVIDENCE_SHARE_MIN: Final = 0.7
# What a further sentence must hold of the question, against the best one. The passage of the best
# one is known to be about the question; another must prove it.
_MATCH_SHARE_MIN: Final = 0.4
_MATCH_SHARE_ELSEWHERE_MIN: Final = 0.7
# A good sentence of a weak passage is worth less than a fair one of the passage that fits.
_EVIDENCE_WEIGHT: Final = 3.0
_SENTENCES_MAX: Final = 3
_BLOCK_CHARS_MAX: Final = 1_200  # a table or an FAQ's answer is shown whole up to here

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
    span: Span
    """Where it stands in the document."""


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

    @property
    def quotes(self) -> tuple[tuple[Span, ...], ...]:
        """For each passage cited, which of its document's places the answer shows, increasing."""
        return tuple(
            tuple(it.span for it in self.sentences if it.n == n)
            for n in range(1, len(self.cited) + 1)
        )

    def pieces(self) -> Iterator[str]:
        """Yield the text in pieces of some words, as a stream shows them; always cut alike."""
        text = self.text
        words = [match.group() for match in _PIECE.finditer(text)]
        for start in range(0, len(words), _WORDS_PER_PIECE):
            yield "".join(words[start : start + _WORDS_PER_PIECE])


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What may be shown: ``span`` in the text of hit number ``hit``.

    ``about`` is that and, in an FAQ, the question; ``above`` are the title and headings.
    """

    hit: int
    span: Span
    text: str
    about: str
    above: str


def extract(question: str, hits: Sequence[Hit]) -> ExtractiveAnswer:
    """Answer ``question`` with pieces of ``hits``, which are best first."""
    language = language_of(question)
    usable = _usable(hits, language)
    if not usable:
        return ExtractiveAnswer((), (), known=False, language=language)
    best = max(usable, key=lambda hit: evidence(hit, language))
    if best.passage.kind == "faq":
        # Somebody wrote this answer to this question: nothing is to be added.
        usable = [best]
    return _cite(usable, _choose(question, usable, language), language)


def evidence(hit: Hit, language: Language) -> float:
    """Return how much speaks for a passage as an answer to a question in ``language``."""
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


def _choose(question: str, hits: Sequence[Hit], language: Language) -> list[_Candidate]:
    """Return the best pieces: passages in the order of their best one, each in its own order."""
    candidates = [one for number, hit in enumerate(hits) for one in _candidates(number, hit)]
    matches = _matches(question, candidates)
    scores = [
        match + _EVIDENCE_WEIGHT * evidence(hits[candidate.hit], language)
        for match, candidate in zip(matches, candidates, strict=True)
    ]
    ranked = sorted(range(len(candidates)), key=lambda at: (-scores[at], at))
    best = ranked[0]

    def needed(at: int) -> float:
        same = candidates[at].hit == candidates[best].hit
        return matches[best] * (_MATCH_SHARE_MIN if same else _MATCH_SHARE_ELSEWHERE_MIN)

    kept = [candidates[at] for at in ranked if matches[at] >= needed(at)][:_SENTENCES_MAX]
    order = list(dict.fromkeys(one.hit for one in kept))
    return sorted(kept, key=lambda one: (order.index(one.hit), one.span))


def _matches(question: str, candidates: Sequence[_Candidate]) -> list[float]:
    """Return how much of the question each candidate holds.

    Words of its headings count half: below "Returns" no sentence need say the word, but one that
    does is nearer.
    """
    pieces = [candidate.about for candidate in candidates]
    headed = [f"{candidate.above}\n{candidate.about}" for candidate in candidates]
    shares = Matcher(question, pieces + headed).shares
    return [
        (piece + with_heading) / 2
        for piece, with_heading in zip(shares[: len(pieces)], shares[len(pieces) :], strict=True)
    ]


def _candidates(number: int, hit: Hit) -> list[_Candidate]:
    """Cut a passage into what may be shown of it: sentences, or as one what belongs together."""
    text, kind = hit.passage.text, hit.passage.kind
    # An entry without a line break is all there is to show.
    start = text.find("\n") + 1 if kind == "faq" else 0
    spans = [(start + begin, start + end) for begin, end in sentence_spans(text[start:])]
    if kind != "text" and spans and spans[-1][1] - start <= _BLOCK_CHARS_MAX:
        spans = [(spans[0][0], spans[-1][1])]
    above = "\n".join((hit.passage.title, *hit.passage.heading))
    pieces = [text[slice(*span)] for span in spans]
    return [
        _Candidate(number, span, piece, about=text[:start] + piece, above=above)
        for span, piece in zip(spans, pieces, strict=True)
    ]


def _cite(
    hits: Sequence[Hit], chosen: Sequence[_Candidate], language: Language
) -> ExtractiveAnswer:
    numbers: dict[int, int] = {}
    sentences = tuple(
        CitedSentence(
            text=one.text,
            n=numbers.setdefault(one.hit, len(numbers) + 1),
            span=_moved(one.span, hits[one.hit].passage.span[0]),
        )
        for one in chosen
    )
    cited = tuple(hits[number] for number in numbers)
    return ExtractiveAnswer(sentences, cited, known=True, language=language)


def _moved(span: Span, by: int) -> Span:
    return span[0] + by, span[1] + by


def _separator(before: str, following: str) -> str:
    """Return what stands between two pieces so that lists, rows and both languages read well."""
    if not before:
        return ""
    if _LINE_MARK.match(before.rpartition("\n")[2]) or _LINE_MARK.match(following):
        return "\n"
    return "" if language_of(before) == language_of(following) == "zh" else " "
