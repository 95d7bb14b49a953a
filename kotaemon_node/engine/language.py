"""In which language a turn is answered by the engine's own sentences."""

import re
from typing import Final

from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.ports.sessions import Work

_HAN: Final = re.compile(r"[\u4e00-\u9fff]")
_WORD: Final = re.compile(r"[A-Za-z]{2,}")
_WORDS_MIN: Final = 2
"""A shorter Latin message, as "ok" or "SKU-7", may stand in a Chinese talk."""


def language_of_turn(work: Work) -> Language:
    """Return the language of the message; of one that has none, that of the messages before."""
    said = [work.message, *(turn.message for turn in reversed(work.session.turns))]
    for text in said:
        if _HAN.search(text) or len(_WORD.findall(text)) >= _WORDS_MIN:
            return language_of(text)
    return language_of(work.message)
