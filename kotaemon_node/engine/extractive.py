"""Answers from the passages alone: their best sentences, word for word, each with its citation.

No model and no encoder is asked, so this is also what an answer falls back to. Law: the text is
made of exact pieces of passages, of citation marks and blanks, and of the fixed sentences below.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.domain.knowledge import Hit
from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.domain.limits import EVIDENCE_MIN
from kotaemon_node.domain.sentences import Span
from kotaemon_node.engine.choosing import Candidate, choose
from kotaemon_node.engine.evidence import Weighing

# Passages whose evidence is this much weaker than the best one's are about something else.
EVIDENCE_SHARE_MIN: Final = 0.7

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


def extract(
    question: str, hits: Sequence[Hit], *, evidence_min: float = EVIDENCE_MIN
) -> ExtractiveAnswer:
    """Answer ``question`` with pieces of ``hits``, which are best first.

    ``evidence_min`` is how much must speak for the best passage; with less it does not know.
    """
    weighing = Weighing(question)
    language = weighing.language
    usable = _usable(hits, weighing, evidence_min)
    if not usable:
        return ExtractiveAnswer((), (), known=False, language=language)
    best, _ = max(usable, key=lambda one: one[1])
    if best.passage.kind == "faq":
        # Somebody wrote this answer to this question: nothing is to be added.
        usable = [one for one in usable if one[0] is best]
    chosen = choose(
        question, [hit.passage for hit, _ in usable], evidence=[weight for _, weight in usable]
    )
    return _cite([hit for hit, _ in usable], chosen, language)


def _usable(
    hits: Sequence[Hit], weighing: Weighing, evidence_min: float
) -> list[tuple[Hit, float]]:
    """Keep the passages that answer, with their evidence.

    Those of another language are kept only when there is no other.
    """
    hits = [hit for hit in hits if hit.passage.text.strip()]
    own = [hit for hit in hits if hit.passage.language == weighing.language]
    foreign = [hit for hit in hits if hit.passage.language != weighing.language]
    for group in (own, foreign):
        kept = weighed(group, weighing)
        best = max((weight for _, weight in kept), default=0.0)
        if kept and best >= evidence_min:
            return [one for one in kept if one[1] >= EVIDENCE_SHARE_MIN * best]
    return []


def weighed(hits: Sequence[Hit], weighing: Weighing) -> list[tuple[Hit, float]]:
    """Return the evidence of those that may be near enough to the best, in their order.

    Looking at the words of a passage takes long; whatever they say, some cannot come near it.
    """
    found: dict[int, float] = {}
    best = 0.0
    most = [weighing.most(hit) for hit in hits]
    for at in sorted(range(len(hits)), key=lambda at: -most[at]):
        if most[at] < EVIDENCE_SHARE_MIN * best:
            break
        found[at] = weighing.of(hits[at])
        best = max(best, found[at])
    return [(hits[at], found[at]) for at in sorted(found)]


def _cite(hits: Sequence[Hit], chosen: Sequence[Candidate], language: Language) -> ExtractiveAnswer:
    numbers: dict[int, int] = {}
    sentences = tuple(
        CitedSentence(
            text=one.text,
            n=numbers.setdefault(one.passage, len(numbers) + 1),
            span=_moved(one.span, hits[one.passage].passage.span[0]),
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
