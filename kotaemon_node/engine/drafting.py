"""Drafts of an FAQ: wordings of one question brought together, and what people may answer to it.

Two wordings are one question where they say the same (``engine.wording``), or are close in meaning
and share most of their telling words: closeness alone takes "to Norway" for "to Sweden". A person
decides about each draft, so what is brought together wrongly costs a look.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.domain.acting_limits import FAQ_DRAFT_AGAIN, FAQ_DRAFT_WORDINGS_MAX
from kotaemon_node.domain.words import telling_words
from kotaemon_node.engine.matching import stem
from kotaemon_node.engine.wording import Wording, say_same, wording_of
from kotaemon_node.ports.faq_drafts import DraftRow, Example

Close = Mapping[str, Mapping[str, float]]
"""Cosine of two wordings by their ids; what lacks is not close."""
Closeness = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Returns the (n, n) cosines of questions, -1 where two cannot be compared."""

_COSINE_MIN: Final = 0.75
_SHARED_MIN: Final = 0.6
"""Share of the fewer telling words that the other wording has, too."""
_EXAMPLES_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class FaqDraft:
    """A question that was not answered well. ``ids`` are those of its wordings, its own first."""

    id: str
    question: str
    variants: tuple[str, ...]
    asked: int
    down: int
    first_at: float
    last_at: float
    examples: tuple[Example, ...]
    ids: tuple[str, ...]
    wanted: bool
    """False: somebody dismissed it, and it was not asked ``FAQ_DRAFT_AGAIN`` times since."""


def drafts_of(rows: Sequence[DraftRow], closeness: Closeness) -> list[FaqDraft]:
    """Return the questions that ``rows`` ask, those asked most often first.

    At most ``FAQ_DRAFT_WORDINGS_MAX`` wordings are compared; the others stand alone.
    """
    ordered = sorted(rows, key=lambda row: (-row.asked, row.id))
    compared, alone = ordered[:FAQ_DRAFT_WORDINGS_MAX], ordered[FAQ_DRAFT_WORDINGS_MAX:]
    near = closeness([row.question for row in compared]) if len(compared) > 1 else ()
    said = [_Said(row, wording_of(row.question), _stems(row.question)) for row in compared]
    groups: list[list[int]] = []
    for place, one in enumerate(said):
        for group in groups:
            first = group[0]  # the most frequent wording: groups do not grow along a chain
            if _same(said[first], one, cosine=near[first][place]):
                group.append(place)
                break
        else:
            groups.append([place])
    found = [_draft([compared[place] for place in group]) for group in groups]
    found += [_draft([row]) for row in alone]
    return sorted(found, key=lambda draft: (-draft.asked, draft.id))


@dataclass(frozen=True, slots=True)
class _Said:
    row: DraftRow
    wording: Wording
    stems: frozenset[str]


def _same(one: _Said, other: _Said, *, cosine: float) -> bool:
    if say_same(one.wording, other.wording):
        return True
    fewer = min(len(one.stems), len(other.stems))
    if cosine < _COSINE_MIN or not fewer:
        return False
    return len(one.stems & other.stems) / fewer >= _SHARED_MIN


def _stems(question: str) -> frozenset[str]:
    return frozenset(map(stem, telling_words(question)))


def _draft(rows: Sequence[DraftRow]) -> FaqDraft:
    examples = [example for row in rows for example in row.examples]
    since = sum(row.asked - row.dismissed for row in rows)
    dismissed = any(row.dismissed for row in rows)
    return FaqDraft(
        id=rows[0].id,
        question=rows[0].question,
        variants=tuple(row.question for row in rows[1:]),
        asked=sum(row.asked for row in rows),
        down=sum(row.down for row in rows),
        first_at=min(row.first_at for row in rows),
        last_at=max(row.last_at for row in rows),
        examples=tuple(examples[:_EXAMPLES_MAX]),
        ids=tuple(row.id for row in rows),
        wanted=not dismissed or since >= FAQ_DRAFT_AGAIN,
    )
