"""Whether a message asks about an action, or wants it not to be done, or done.

"How can I cancel an order?" and "cancel my order" are near neighbours for any classifier of
utterances; the first is a question to the documents. So nothing that changes something is begun by
a message that asks how, whether, when or for how much, unless a rule of the operator says so.
"""

import re
from collections.abc import Sequence
from typing import Final

from kotaemon_node.domain.acting_limits import INTENT_CHARS_MAX
from kotaemon_node.domain.language import language_of
from kotaemon_node.engine.understanding.topics import depends

_OPENERS: Final = (
    r"^(?:(?:hi|hello|hey|please|ok(?:ay)?|so|and|but|well|then|also|excuse me|tell me|"
    r"do you know|(?:i(?:'d| would) like|i (?:want|need)) to know|i wonder)\b[\s,.!:]*)*"
)
# Asked of everybody, whoever "I" is: these never want it done.
_ASKS: Final = re.compile(
    _OPENERS
    + r"(?:how|what|when|where|which|who|why|whether|if|is|are|am|was|do|does|did|will|would i|"
    r"should|must|may anyone|has|have)\b"
    r"|怎么|怎样|如何|是否|多久|多少|什么|为什么|为何|哪[里儿些个种]|会不会|要不要|收费|费用|[会要需].{0,40}吗",
    re.IGNORECASE,
)
# Asked for leave, or for having it done: that depends on whether anything is named.
_MAY: Final = re.compile(
    _OPENERS + r"(?:can|could|may|might) (?:i|we|one|you still|customers?)\b"
    "|能不能|可不可以|可否|能否|[能可].{0,40}吗",
    re.IGNORECASE,
)
_WANTS_IT: Final = re.compile(
    r"\b(?:can|could|may|might) (?:i|we)(?: still| now| just)? \w+ (?:it|that|this|them|both)\b"
    r"|\b(?:will|would|do) you\b.{0,80}\b(?:please|for me|mind)\b|\d{3,}"
    "|帮[我忙]|给我|替我|麻烦|请您?帮",
    re.IGNORECASE,
)

_NOT: Final = re.compile(
    r"\b(?:don'?t|do not|never|not|no need)\s+"
    r"(?:(?:ever|just|yet|please|want|need|wish|have|like|you|me|us|to|go|ahead|and)\s+)*(\w+)",
    re.IGNORECASE,
)
_NOT_ZH: Final = re.compile(
    r"(?:不要|别|不想|不用|不必|不需要|无需|先不)(?:再|要|帮我|给我|急着)?(..)"
)
# What follows "don't want" or 不要 where a thing, and no action, is refused.
_THINGS: Final = frozenset(
    {"the", "this", "that", "these", "it", "my", "any", "want", "need", "like"}
)
_THINGS_ZH: Final = frozenset("要想这那它我他她的了")


def refuses(message: str, examples: Sequence[str]) -> bool:
    """Tell whether ``message`` says not to do what ``examples`` ask for ("don't cancel it").

    "I don't want the order any more" refuses a thing, which may well be a wish for the action.
    """
    message = message[:INTENT_CHARS_MAX].replace("’", "'")
    told = "\n".join(examples).lower()
    known = set(told.split())
    if any(verb.lower() in known and verb.lower() not in _THINGS for verb in _NOT.findall(message)):
        return True
    return any(
        action[0] not in _THINGS_ZH and action in told for action in _NOT_ZH.findall(message)
    )


def asks_about(message: str) -> bool:
    """Tell whether ``message`` asks about an action instead of asking for it.

    With a number it is about a certain thing; "can I cancel it?" leans on the talk, where that
    stands: both may be a wish, and whoever answers will be asked before anything is done.
    """
    message = message[:INTENT_CHARS_MAX]
    if _WANTS_IT.search(message):
        return False
    if _MAY.search(message):
        return language_of(message) == "en" or not depends(message)
    return _ASKS.search(message) is not None
