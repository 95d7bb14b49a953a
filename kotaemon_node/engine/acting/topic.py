"""What a talk is about, in a few words: for people to see, and for corrections of intents."""

from itertools import islice
from typing import Final

from kotaemon_node.domain.acting_limits import STATE_TOPIC_CHARS_MAX
from kotaemon_node.engine.understanding.topics import Exchange, topics
from kotaemon_node.ports.sessions import Work

_PHRASES_MAX: Final = 3


def topic_of(work: Work) -> str:
    """Return the weightiest phrases of the talk, the message included; "" where it has none."""
    past = [Exchange(turn.message, turn.answer) for turn in work.session.turns]
    talk = [*past, Exchange(work.message, "")]
    phrases = [phrase for phrase, _ in islice(topics(talk, ""), _PHRASES_MAX)]
    return ", ".join(phrases)[:STATE_TOPIC_CHARS_MAX]
