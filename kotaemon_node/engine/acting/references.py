"""Which of several things a message means: by its name, or by its place among those shown."""

import re
import unicodedata
from collections.abc import Sequence

from kotaemon_node.domain.han import simplified
from kotaemon_node.domain.limits import MESSAGE_CHARS_MAX
from kotaemon_node.engine.ordinals import places_in


def meant(message: str, among: Sequence[str]) -> str | None:
    """Return which of ``among`` the message means; None where it says none of them, or several.

    With one alone it is that one, whatever the message says.
    """
    if len(among) == 1:
        return among[0]
    text = unicodedata.normalize("NFKC", message[:MESSAGE_CHARS_MAX]).lower()
    named = [one for one in among if _names(text, one.lower())]
    if len(named) == 1:
        return named[0]
    places = places_in(simplified(text), bare=True)
    if named or len(places) != 1:
        return None
    (place,) = places
    return among[place] if -len(among) <= place < len(among) else None


def _names(text: str, value: str) -> bool:
    """Tell whether ``value`` stands in ``text`` as a word: 100 is not in 1003."""
    return re.search(rf"(?<![a-z0-9]){re.escape(value)}(?![a-z0-9])", text) is not None
