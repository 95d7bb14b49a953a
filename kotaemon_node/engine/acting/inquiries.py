"""Whether a message asks about an action, or wants it to be done.

"How can I cancel an order?" and "cancel my order" are near neighbours for any classifier of
utterances; the first is a question to the documents. So nothing that changes something is begun by
a message that asks how, whether, when or for how much, unless a rule of the operator says so.
"""

import re
from typing import Final

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
    r"|怎么|怎样|如何|是否|多久|多少|什么|为什么|为何|哪[里儿些个种]|会不会|要不要|收费|费用|[会要需].*吗",
    re.IGNORECASE,
)
# Asked for leave, or for having it done: that depends on whether anything is named.
_MAY: Final = re.compile(
    _OPENERS + r"(?:can|could|may|might) (?:i|we|one|you still|customers?)\b"
    "|能不能|可不可以|可否|能否|[能可].*吗",
    re.IGNORECASE,
)
_WANTS_IT: Final = re.compile(
    r"\b(?:can|could|may|might) (?:i|we)(?: still| now| just)? \w+ (?:it|that|this|them|both)\b"
    r"|\b(?:will|would|do) you\b.*\b(?:please|for me|mind)\b|\d{3,}"
    "|帮[我忙]|给我|替我|麻烦|请您?帮",
    re.IGNORECASE,
)


def asks_about(message: str) -> bool:
    """Tell whether ``message`` asks about an action instead of asking for it.

    With a number it is about a certain thing; "can I cancel it?" leans on the talk, where that
    stands: both may be a wish, and whoever answers will be asked before anything is done.
    """
    if _WANTS_IT.search(message):
        return False
    if _MAY.search(message):
        return language_of(message) == "en" or not depends(message)
    return _ASKS.search(message) is not None
