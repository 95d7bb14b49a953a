"""FAQ first: where somebody wrote the answer to this very question, that is the answer.

No model is asked and nothing is added, so the answer is the same every time, costs nothing and is
there while a language model is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from kotaemon_node.domain.knowledge import Hit
from kotaemon_node.engine.extractive import CitedSentence, ExtractiveAnswer
from kotaemon_node.engine.wording import Wording, plain_words, say_same, wording_of

# Nobody's FAQ asks at such length; a longer message tells a story around its question.
_QUESTION_CHARS_MAX: Final = 500
_ENTRIES_KEPT: Final = 2_048  # whose questions are remembered as read; a few megabytes
# A citation mark behind such a line would become a part of it.
_BLOCK_MARKS: Final = ("```", "~~~", "|")


@dataclass(frozen=True, slots=True)
class FaqAnswer:
    """An entry of an FAQ that answers a question, and how near its question is to that."""

    hit: Hit
    match: Literal["exact", "near"]
    """``exact``: the same text but for case, blanks and marks. ``near``: it says the same."""

    @property
    def answer(self) -> ExtractiveAnswer:
        """The entry's whole answer, cited."""
        passage = self.hit.passage
        question, _, text = passage.text.partition("\n")
        begin = passage.span[0] + len(question) + 1
        if text.rpartition("\n")[2].lstrip().startswith(_BLOCK_MARKS):
            text += "\n"
        shown = CitedSentence(text=text, n=1, span=(begin, passage.span[1]))
        # The entry's language: of a short question, as "iPhone 15?", it could only be guessed.
        return ExtractiveAnswer((shown,), (self.hit,), known=True, language=passage.language)

    def to_json(self) -> Mapping[str, Any]:
        """Return what is noted of it in the record of a turn."""
        passage = self.hit.passage
        return {"document": passage.document, "passage": passage.id, "match": self.match}


def faq_answer(question: str, hits: Sequence[Hit]) -> FaqAnswer | None:
    """Return the entry among ``hits`` (best first) that answers ``question``; None where none does.

    An entry asked in the same text goes before one that only says the same.
    """
    # One without a line break has no answer behind its question.
    entries = [hit for hit in hits if hit.passage.kind == "faq" and "\n" in hit.passage.text]
    if not entries or len(question) > _QUESTION_CHARS_MAX:
        return None
    words = plain_words(question)
    for hit in entries:
        if words and words == _entry(hit)[0]:
            return FaqAnswer(hit, "exact")
    asked = wording_of(question)
    for hit in entries:
        if say_same(asked, _entry(hit)[1]):
            return FaqAnswer(hit, "near")
    return None


def _entry(hit: Hit) -> tuple[tuple[str, ...], Wording]:
    return _read(hit.passage.text.partition("\n")[0])


@lru_cache(maxsize=_ENTRIES_KEPT)
def _read(question: str) -> tuple[tuple[str, ...], Wording]:
    return plain_words(question), wording_of(question)
