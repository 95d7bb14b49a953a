"""Which sentences of some passages answer a question, and what has to stand beside them.

A sentence is judged by the question's words in it, with those of its headings and of the sentence
before it, which often names what it speaks of; and by whether it has what is asked for: a number,
a time, a name. What leans on the sentence before, a list item or a row is shown with that.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.domain.knowledge import Passage
from kotaemon_node.domain.sentences import Span, sentence_spans
from kotaemon_node.engine.matching import shares, stems_of
from kotaemon_node.engine.support import YES_OR_NO

PIECES_MAX: Final = 3
# A table or an FAQ's answer is shown whole up to here, and a list below the line that opens it.
_BLOCK_CHARS_MAX: Final = 1_200
_LIST_CHARS_MAX: Final = 600

# How a sentence is judged. Over six sets, without the sentence before, one right answer in fifty
# was missed; without what is asked for, one in two hundred.
_OWN_WEIGHT: Final = 0.4
_HEADED_WEIGHT: Final = 0.35
_AFTER_WEIGHT: Final = 0.25
_ASKED_FOR_WEIGHT: Final = 0.2
# A good sentence of a weak passage is worth less than a fair one of the passage that fits.
_EVIDENCE_WEIGHT: Final = 3.0
# What a further sentence must hold of the question, against the best one. The passage of the best
# one is known to be about the question; another must prove it.
_MATCH_SHARE_MIN: Final = 0.4
_MATCH_SHARE_ELSEWHERE_MIN: Final = 0.7

_ASKS_NUMBER: Final = re.compile(
    r"\bhow (?:many|much|long|old|far|tall|often|large|big|high|fast|deep|soon)\b"
    r"|\bwhat (?:percentage|percent|number|amount|size|age|year|date|day|time)\b"
    r"|\b(?:which|what) (?:year|day|month|century)\b|\bwhen\b"
    "|何时|何時|什么时候|什麼時候|哪一?年|哪天|几|幾|多少|多[大长長高远遠久重快深]|百分之",
    re.IGNORECASE,
)
_ASKS_NAME: Final = re.compile(r"\bwho(?:se|m)?\b|\bwhere\b|\bwhich\b", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_NUMBER_WORD: Final = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|million"
    r"|billion|half|twice|once)\b|[一二三四五六七八九十百千万萬亿億两兩半]",
    re.IGNORECASE,
)
_NAME: Final = re.compile(r"(?<=[a-z,;:(] )[A-Z][\w'-]+")

_LEANS: Final = re.compile(
    r"(?:it|its|they|their|them|this|these|that|those|he|she|his|her|such|both|however|therefore"
    r"|thus|but|otherwise|instead|then|afterwards|in (?:this|that|such a) case|if (?:so|not))\b"
    "|[它他她该該此这這]|那(?!么|麼)|其(?!他|它|实|實|次|余|餘)|因此|所以|但|然而|不过|不過|否则|否則|随后|隨後|之后|之後",
    re.IGNORECASE,
)
_ITEM: Final = re.compile(r"\s*(?:[-*+•‣▪●]\s|\(?\d{1,3}[.)、]|[（(][一二三四五六七八九十]+[）)])")
_OPENS_LIST: Final = re.compile(r"[:：]\s*$")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may be shown: ``span`` in the text of passage number ``passage``.

    ``question`` is that of an FAQ, else ""; ``above`` are the title and headings.
    """

    passage: int
    span: Span
    text: str
    question: str
    above: str
    needs: int | None = None
    """Number of the candidate without which it is not understood; it stands before this one."""


def choose(
    question: str, passages: Sequence[Passage], *, evidence: Sequence[float]
) -> list[Candidate]:
    """Return the best pieces: passages in the order of their best one, each in its own order.

    ``evidence`` is how much speaks for each passage; there is at least one.
    """
    candidates = list(_candidates(question, passages))
    has = _asked_for(question)
    asked_for = [has(it.text) if has is not None else None for it in candidates]
    matches = _matches(question, candidates, asked_for)
    scores = [
        match + _ASKED_FOR_WEIGHT * (found or 0.0) + _EVIDENCE_WEIGHT * evidence[it.passage]
        for match, found, it in zip(matches, asked_for, candidates, strict=True)
    ]
    ranked = sorted(range(len(candidates)), key=lambda at: (-scores[at], at))
    best = ranked[0]

    def needed(at: int) -> float:
        same = candidates[at].passage == candidates[best].passage
        return matches[best] * (_MATCH_SHARE_MIN if same else _MATCH_SHARE_ELSEWHERE_MIN)

    kept: set[int] = set()
    for at in ranked:
        if matches[at] < needed(at):
            continue
        needs = candidates[at].needs
        together = kept | ({at} if needs is None else {at, needs})
        if len(together) <= PIECES_MAX:
            kept = together
    order = list(dict.fromkeys(candidates[at].passage for at in ranked if at in kept))
    return sorted(
        (candidates[at] for at in kept), key=lambda one: (order.index(one.passage), one.span)
    )


def _matches(
    question: str, candidates: Sequence[Candidate], asked_for: Sequence[float | None]
) -> list[float]:
    """Return how much of the question each candidate holds.

    Words of its headings count less than its own: below "Returns" no sentence need say the word,
    but one that does is nearer. Those of the sentence before count for what goes on with it: what
    leans on it, and what has what was asked for.
    """
    own = [stems_of(it.question) | stems_of(it.text) for it in candidates]
    headed = [held | stems_of(it.above) for it, held in zip(candidates, own, strict=True)]
    after = [
        held | stems_of(before.text)
        if before.passage == it.passage and (it.needs is not None or found != 0.0)
        else held
        for before, it, held, found in zip(
            [candidates[0], *candidates[:-1]], candidates, own, asked_for, strict=True
        )
    ]
    found = shares(question, [*own, *headed, *after])
    count = len(candidates)
    return [
        _OWN_WEIGHT * found[at]
        + _HEADED_WEIGHT * found[count + at]
        + _AFTER_WEIGHT * found[2 * count + at]
        for at in range(count)
    ]


def _asked_for(question: str) -> Callable[[str], float] | None:
    """Return what tells how much of what the question asks for a sentence has, 0 to 1.

    None: it asks for nothing that is known by its form.
    """
    if _ASKS_NUMBER.search(question):
        known = set(_NUMBER.findall(question))

        def number(text: str) -> float:
            if set(_NUMBER.findall(text)) - known:
                return 1.0
            return 0.5 if _NUMBER_WORD.search(text) else 0.0

        return number
    if _ASKS_NAME.search(question):
        # Weaker: most sentences name somebody or something.
        asked = question.lower()
        return lambda text: 0.5 * any(name.lower() not in asked for name in _NAME.findall(text))
    return None


def _candidates(question: str, passages: Sequence[Passage]) -> Iterator[Candidate]:
    """Cut passages into what may be shown of them."""
    first = 0
    for number, passage in enumerate(passages):
        text = passage.text
        start = _answer_begins(question, text) if passage.kind == "faq" else 0
        spans = _pieces(passage, start)
        above = "\n".join((passage.title, *passage.heading))
        for at, (begin, end) in enumerate(spans):
            piece = text[begin:end]
            needs = _needs(passage, spans, at)
            needed = first + needs if needs is not None else None
            yield Candidate(
                number, (begin, end), piece, question=text[:start], above=above, needs=needed
            )
        first += len(spans)


def _answer_begins(question: str, entry: str) -> int:
    """Return where that begins which is shown of an entry of an FAQ: behind its question, mostly.

    "No." is an answer to the entry's own question alone: beside another one it is told with it.
    """
    start = entry.find("\n") + 1
    if not entry[start:].strip():
        return 0  # an entry without an answer is all there is to show
    other = stems_of(entry[:start]) != stems_of(question)
    short = len(entry.strip()) <= _BLOCK_CHARS_MAX
    return 0 if other and short and YES_OR_NO.match(entry[start:].lower()) else start


def _pieces(passage: Passage, start: int) -> list[Span]:
    """Return the spans of its sentences; as one, those of what belongs together."""
    text = passage.text
    spans = [(start + begin, start + end) for begin, end in sentence_spans(text[start:])]
    if passage.kind != "text" and spans and spans[-1][1] - start <= _BLOCK_CHARS_MAX:
        return [(spans[0][0], spans[-1][1])]
    found: list[Span] = []
    at = 0
    while at < len(spans):
        last = at
        if _OPENS_LIST.search(text, *spans[at]):
            while last + 1 < len(spans) and _ITEM.match(text, spans[last + 1][0]):
                last += 1
        # A longer list is shown by its items.
        if spans[last][1] - spans[at][0] > _LIST_CHARS_MAX:
            last = at
        found.append((spans[at][0], spans[last][1]))
        at = last + 1
    return found


def _needs(passage: Passage, spans: Sequence[Span], at: int) -> int | None:
    """Return which piece has to stand before one so that it is understood."""
    if at == 0:
        return None
    text, start = passage.text, spans[at][0]
    if passage.kind == "table":
        # Above a later part of a long table its header is a heading, and no part of the text.
        repeated = bool(passage.heading) and passage.heading[-1].startswith("|")
        return None if repeated else 0
    if _ITEM.match(text, start):
        before = at - 1
        while before > 0 and _ITEM.match(text, spans[before][0]):
            before -= 1
        return before if _OPENS_LIST.search(text, *spans[before]) else None
    return at - 1 if _LEANS.match(text, start) else None
