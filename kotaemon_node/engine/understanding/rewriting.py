"""The question that stands alone, by rules: what is missing is taken from the last exchanges.

Law 1: a message that stands alone stays as it is, byte for byte.
Law 2: nothing is invented: what is added stands in the talk, and the message stays whole or loses
only the words in whose place it comes.
"""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

from kotaemon_node.domain.language import language_of
from kotaemon_node.engine.understanding.topics import Exchange, depends, last_attribute, topics

_TOPICS_MAX: Final = 3
_SHARE_MIN: Final = 0.45
"""Of the weightiest phrase: lighter ones are of what the talk was about before."""


def stand_alone(message: str, past: Sequence[Exchange]) -> str:
    """Return the question that ``message`` asks behind ``past``, which is oldest first."""
    if not depends(message):
        return message
    # Who changes the language begins anew: phrases of the other one stand in no document of this.
    language = language_of(message)
    past = [one for one in past if language_of(one.message) == language]
    return _replaced(message, past) or _headed(message, past)


def _headed(message: str, past: Sequence[Exchange]) -> str:
    """Put what the talk is about before the message."""
    found = list(islice(topics(past, message), _TOPICS_MAX))
    told = [phrase for phrase, score in found if score >= _SHARE_MIN * found[0][1]]
    asked = "\n".join(one.message for one in past).lower()
    if not any(phrase.lower() in asked for phrase in told):
        # Nobody asked about what the answers name; what was asked of everything is nearer.
        told = [*last_attribute(past, message), *told][:_TOPICS_MAX]
    if not told:
        return message
    if language_of(message) == "zh":
        return f"{'、'.join(told)}：{message}"
    return f"{', '.join(told)}: {message}"


_PLACED: Final = re.compile(
    r"^(?:ok(?:ay)?,? |so |and |but |or |what about |how about |then )*"
    r"(?P<word>to|for|in|from|with|on|at|by|under|without) (?P<what>[\w'’ &.-]{2,60}?)[ ?.!]*$",
    re.IGNORECASE,
)


def _replaced(message: str, past: Sequence[Exchange]) -> str | None:
    """Put "and to Canada?" into the place that "to Germany" has in the question before it."""
    found = _PLACED.match(message.strip())
    if found is None or language_of(message) != "en":
        return None
    asked = _last_alone(past)
    word = found["word"].lower()
    # A place ends with its first word, or with its name.
    place = re.compile(rf"\b(?i:{word}) (?:the )?[\w'’-]+(?: [A-Z][\w'’-]+)*")
    places = list(place.finditer(asked))
    if len(places) != 1:
        return None
    (before,) = places
    return f"{asked[: before.start()]}{word} {found['what']}{asked[before.end() :]}"


def _last_alone(past: Sequence[Exchange]) -> str:
    """Return the newest message that stands alone, "" where there is none."""
    return next((one.message for one in reversed(past) if not depends(one.message)), "")
