"""A question of several hops as simpler ones: two questions in a row, two things compared.

What needs an answer before the next question can be asked ("the coach of the team that …") is left
whole: no rule knows where to cut.
"""

import re
from typing import Final

from kotaemon_node.domain.language import language_of
from kotaemon_node.domain.limits import QUESTION_PARTS_MAX
from kotaemon_node.domain.words import is_small, telling_words
from kotaemon_node.engine.understanding.rewriting import stand_alone
from kotaemon_node.engine.understanding.topics import Exchange

_CHARS_MAX: Final = 1_000
"""A longer message tells a story; and the patterns here take the square of its length."""
_QUESTION: Final = re.compile(r"[^?？]+[?？]")

# A thing that is compared: a name, and perhaps one plain word that both have ("kettle").
_ASKING: Final = r"(?!(?:Are|Is|Was|Were|Do|Does|Did|Has|Have|Can|Which|Who|What|How)\b)"
_NAME: Final = rf"(?:the )?{_ASKING}[A-Z][\w'’.-]*(?: (?:of |the |de )*[A-Z0-9][\w'’.-]*)*"
_PAIR: Final = re.compile(
    rf"(?:\bboth |\bbetween )?(?P<one>{_NAME}(?: (?P<noun>[a-z]+))?),?"
    rf" (?:and|or|vs\.?|versus) (?P<other>{_NAME}(?: (?P=noun))?)"
)
_PAIR_ALIKE: Final = re.compile(
    rf"(?:\bboth |\bbetween )?(?P<one>{_NAME}),? (?:and|or|vs\.?|versus) (?P<other>{_NAME})"
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
    if len(question) > _CHARS_MAX:
        return ()
    found = _in_a_row(question) or _compared(question)
    return tuple(dict.fromkeys(found))[:QUESTION_PARTS_MAX]


def _in_a_row(question: str) -> list[str]:
    said = [one.strip() for one in _QUESTION.findall(question)]
    if len(said) < 2 or any(all(map(is_small, telling_words(one))) for one in said):
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
    if chinese:
        pair = _PAIR_ZH.search(question)
    else:
        pair = _PAIR_ALIKE.search(question) or _PAIR.search(question)
    if pair is None:
        return []
    before, behind = question[: pair.start()], question[pair.end() :]
    return [f"{before}{pair[name]}{behind}" for name in ("one", "other")]
