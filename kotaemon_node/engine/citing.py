"""The gate of citations: a mark ``[n]`` of a language model is sent only after it was checked.

Law 1: text passes at once; a possible mark is held back until it is whole, at most
    ``CITATION_HELD_CHARS_MAX`` characters of it.
Law 2: what comes out depends on the text alone, not on how it was cut into pieces. What was let
    out decides what becomes of the next mark, and nothing else does: so a pod that goes on behind
    the text that was shown judges as the pod before it would have.
Law 3: what was let out is never changed. A mark that its passage does not bear is left out, or,
    where exactly one other passage bears the sentence, names that one.

Marks are written in several ways, as ``［1］``, ``【1】`` or ``[1, 3]``; they leave as ``[1][3]``.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from kotaemon_node.domain.knowledge import Hit
from kotaemon_node.domain.limits import CITATION_HELD_CHARS_MAX
from kotaemon_node.domain.sentences import sentence_spans
from kotaemon_node.engine.support import Claim, Evidence

Outcome = Literal["kept", "replaced", "dropped"]

_OPEN: Final = r"[\[［【]"
_NUMBERS: Final = r"\d{1,3}(?:[,，、] ?\d{1,3})*"
_WHOLE: Final = re.compile(rf" ?{_OPEN}{_NUMBERS}[\]］】]")
_GROUP: Final = re.compile(rf"(?:{_WHOLE.pattern})+")
# What may still become a group: whole marks, and perhaps the beginning of one more.
_BEGINNING: Final = re.compile(rf"(?:{_WHOLE.pattern})* ?(?:{_OPEN}(?:{_NUMBERS}(?:[,，、] ?)?)?)?")
_MAY_BEGIN: Final = re.compile(rf" ?{_OPEN}| \Z")
_NUMBER: Final = re.compile(r"\d{1,3}")

_UNFINISHED: Final = re.compile(rf"{_OPEN}[\d,，、 ]*\Z")

_LET_OUT: Final = re.compile(r" ?\[\d{1,3}\]")
_MARKS_BEHIND: Final = re.compile(r"(?:\s*\[\d{1,3}\])*\s*\Z")
# Longer than any sentence that somebody reads; what lies before is cut off.
_SENTENCE_CHARS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Citing:
    """How well a text cites."""

    sentences: int
    """That say something."""
    cited: int
    """Of these, those with a mark in or behind them."""


class CitationGate:
    """Lets one text out, ``hits[n - 1]`` being the passage that ``[n]`` names."""

    def __init__(
        self, hits: Sequence[Hit], *, question: str, outcomes: Counter[Outcome] | None = None
    ) -> None:
        """``question`` is what the text answers; ``outcomes`` counts what became of the marks."""
        self._passages = [Evidence.of(hit.passage) for hit in hits]
        self._question = question
        self._held = ""
        self._let_out = ""
        """The end of what was let out; enough to find the sentence that a mark ends."""
        self._outcomes = Counter() if outcomes is None else outcomes

    def go_on_behind(self, prefix: str) -> None:
        """Say that ``prefix`` was let out before."""
        self._note(prefix)

    def feed(self, piece: str) -> str:
        """Take a piece and return what may be shown by now, perhaps nothing."""
        out: list[str] = []
        at = 0
        while at < len(piece):
            if not self._held:
                found = _MAY_BEGIN.search(piece, at)
                begins = found.start() if found else len(piece)
                out.append(self._pass(piece[at:begins]))
                at = begins
            if at < len(piece):
                out += self._take(piece[at])
                at += 1
        return "".join(out)

    def finish(self) -> str:
        """Return what was held back; nothing follows."""
        out = []
        while self._held:
            out.append(self._settle())
        return "".join(out)

    def _take(self, character: str) -> Iterator[str]:
        self._held += character
        while self._held and not self._may_go_on():
            yield self._settle()

    def _may_go_on(self) -> bool:
        return len(self._held) <= CITATION_HELD_CHARS_MAX and bool(_BEGINNING.fullmatch(self._held))

    def _settle(self) -> str:
        """Decide about the marks in front of what is held, or let its first character out."""
        group = _GROUP.match(self._held)
        if group is None:
            first, self._held = self._held[0], self._held[1:]
            return self._pass(first)
        self._held = self._held[group.end() :]
        numbers = self._judged(_numbers_in(group[0]))
        blank = " " if group[0].startswith(" ") else ""
        if numbers:
            return self._pass(blank + "".join(f"[{n}]" for n in numbers))
        # What stands before and behind a mark that goes must not make one: "[1[9]]".
        return self._pass(" ") if _UNFINISHED.search(self._let_out) else ""

    def _pass(self, text: str) -> str:
        self._note(text)
        return text

    def _note(self, text: str) -> None:
        self._let_out = (self._let_out + text)[-_SENTENCE_CHARS_MAX:]

    def _judged(self, asked: Sequence[int]) -> Sequence[int]:
        """Return the numbers that are let out in place of those that the model wrote."""
        claim = Claim(claim_before(self._let_out), self._question)
        borne = self._borne(claim, [n for n in asked if 1 <= n <= len(self._passages)])
        self._outcomes["kept"] += len(borne)
        if borne:
            self._outcomes["dropped"] += len(asked) - len(borne)
            return borne
        # What cannot be compared word by word is good enough for a mark that the model wrote, and
        # not for one that it did not.
        bearing = [
            n
            for n, passage in enumerate(self._passages, start=1)
            if n not in asked and passage.language == claim.language and claim.borne_by([passage])
        ]
        if len(bearing) == 1:
            self._outcomes["replaced"] += 1
            self._outcomes["dropped"] += len(asked) - 1
            return bearing
        self._outcomes["dropped"] += len(asked)
        return []

    def _borne(self, claim: Claim, numbers: Sequence[int]) -> list[int]:
        alone = [n for n in numbers if claim.borne_by([self._passage(n)])]
        if alone or not claim.borne_by([self._passage(n) for n in numbers]):
            return alone
        return [n for n in numbers if claim.partly_borne_by(self._passage(n))]

    def _passage(self, number: int) -> Evidence:
        return self._passages[number - 1]


def claim_before(text: str) -> str:
    """Return what a mark behind ``text`` cites: its last sentence, from the mark before it on.

    A mark that follows another, with nothing said in between, cites the same.
    """
    text = _MARKS_BEHIND.sub("", text, count=1)
    spans = sentence_spans(text)
    if not spans:
        return ""
    parts = _LET_OUT.split(text[slice(*spans[-1])])
    return next((part for part in reversed(parts) if Claim(part).says_something), "")


def citing_of(answer: str) -> Citing:
    """Count the sentences of an answer, and those that cite.

    A mark behind a full stop belongs to the sentence before it, though it may stand in front of the
    next one.
    """
    said, cited = 0, 0
    before_says = False
    before_cited = False
    for start, end in sentence_spans(answer):
        sentence = answer[start:end]
        body = sentence.lstrip()
        leading = _leading_marks(body)
        if leading and before_says and not before_cited:
            cited += 1
        rest = body[leading:]
        before_says = Claim(_LET_OUT.sub("", rest)).says_something
        before_cited = before_says and bool(_LET_OUT.search(rest))
        said += before_says
        cited += before_cited
    return Citing(said, cited)


def _leading_marks(text: str) -> int:
    found = re.match(r"(?:\s*\[\d{1,3}\])*", text)
    return found.end() if found else 0


def _numbers_in(marks: str) -> list[int]:
    """Return the numbers of marks, each once, in their order."""
    plain = unicodedata.normalize("NFKC", marks)
    return list(dict.fromkeys(int(number) for number in _NUMBER.findall(plain)))
