"""A question of several hops as simpler ones: two questions in a row, two things compared.

What needs an answer before the next question can be asked ("the coach of the team that …") is left
whole: no rule knows where to cut.
"""

import re
from typing import Final

from kotaemon_node.domain.language import language_of
from kotaemon_node.domain.limits import QUESTION_PARTS_MAX
from kotaemon_node.domain.words import telling_words
from kotaemon_node.engine.understanding.rewriting import stand_alone
from kotaemon_node.engine.understanding.topics import Exchange

_QUESTION: Final = re.compile(r"[^?？]+[?？]")
_WORDS_MIN: Final = 2
"""Telling words of a question that is worth a search of its own."""

# A thing that is compared: names and plain words in a row, not across a comma.
_THING: Final = r"(?:the )?(?:[A-Z][\w'’.-]*)(?: (?:of |the |de )*(?:[A-Z0-9][\w'’.-]*))*"
_PAIR: Final = re.compile(
    rf"(?:\bboth |\bbetween )?(?P<one>{_THING}),? (?:and|or|vs\.?|versus) (?P<other>{_THING})"
)
_COMPARES: Final = re.compile(
    r"\b(?:both|between|differ\w*|compar\w+|versus|vs|same|which|who|whose|older|younger|first"
    r"|more|less|better|\w+er than|or)\b",
    re.IGNORECASE,
)
_PAIR_ZH: Final = re.compile(
    "(?P<one>[^，。？?、和与跟\\s]{2,12})(?:和|与|跟|、)"
    "(?P<other>[^，。？?、和与跟的哪谁有都是\\s]{2,12})"
)
_COMPARES_ZH: Final = re.compile(
    "区别|不同|差别|差异|相比|比较|对比|哪个|哪一个|谁更|更|分别|一样|相同"
)


def parts_of(question: str) -> tuple[str, ...]:
    """Return the questions that ``question`` is made of; () where it is one."""
    found = _in_a_row(question) or _compared(question)
    return tuple(dict.fromkeys(found))[:QUESTION_PARTS_MAX]


def _in_a_row(question: str) -> list[str]:
    said = [one.strip() for one in _QUESTION.findall(question)]
    if len(said) < 2 or any(len(telling_words(one)) < _WORDS_MIN for one in said):
        return []
    past: list[Exchange] = []
    alone = []
    for one in said:
        alone.append(stand_alone(one, past))
        past.append(Exchange(alone[-1], ""))
    return alone


def _compared(question: str) -> list[str]:
    """Ask of each of two things what is asked of both."""
    chinese = language_of(question) == "zh"
    if not (_COMPARES_ZH if chinese else _COMPARES).search(question):
        return []
    pair = (_PAIR_ZH if chinese else _PAIR).search(question)
    if pair is None:
        return []
    before, behind = question[: pair.start()], question[pair.end() :]
    return [f"{before}{pair[name]}{behind}" for name in ("one", "other")]
