"""What "it", "that one", 它 and 那个 stand for: a slot's value from earlier in the conversation.

Looked for in this order: a value that the message names; one of those listed last, by its place
("the second one"); the newest exchange that names any. That is read as a whole, since "it" is
what it was about: what the user asked for counts before what the answer mentions besides. Where one
step leaves several values, nobody guesses: they are told, so that somebody asks.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.engine.intents.expressions import plain
from kotaemon_node.engine.intents.slots import SlotReader
from kotaemon_node.engine.ordinals import places_in
from kotaemon_node.engine.understanding.topics import Exchange

_SEVERAL: Final = re.compile(
    r"\b(?:they|them|their|both|these|those|all of)\b|它们|他们|她们|他俩|它俩|两家|这些|那些|都",
    re.IGNORECASE,
)
_POINTS: Final = re.compile(
    r"\b(?:it|its|it's|that|this|that one|this one|the same|there|one)\b"
    r"|它|那个|这个|那家|这家|他家|她家|该|那儿|那里|这里|这儿|那边|那",
    re.IGNORECASE,
)


def points_back(text: str) -> bool:
    """Tell whether a message has a word that stands for something said before."""
    return bool(_POINTS.search(text) or _SEVERAL.search(text))


@dataclass(frozen=True, slots=True)
class Referent:
    """What a message refers to, by slot."""

    slots: Mapping[str, Any] = field(default_factory=dict)
    ambiguous: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Slots for which several values are as good, newest last: ask which."""


def referent(
    text: str,
    state: DialogueState,
    history: Sequence[Exchange],
    *,
    reader: SlotReader,
    wanted: Iterable[str],
) -> Referent:
    """Return the values of ``wanted`` slots that ``text`` means; a slot may be in neither map.

    ``history``: the exchanges before, oldest first; the last ``REFERENCE_EXCHANGES_MAX`` are read.
    """
    slots: dict[str, Any] = {}
    ambiguous: dict[str, tuple[Any, ...]] = {}
    for name in wanted:
        found = _meant(text, name, state, history, reader)
        if len(found) == 1:
            slots[name] = found[0]
        elif found:
            ambiguous[name] = tuple(found)
    return Referent(slots, ambiguous)


def _meant(
    text: str,
    name: str,
    state: DialogueState,
    history: Sequence[Exchange],
    reader: SlotReader,
) -> Sequence[Any]:
    named = reader.values(name, plain(text))
    if named:
        return named
    listed: Sequence[Any] = state.entities.get(name, ())
    recent = history[-limits.REFERENCE_EXCHANGES_MAX :]
    if not listed and recent:
        listed = reader.values(name, plain(recent[-1].answer))
    place = _place(text)
    if place is not None and -len(listed) <= place < len(listed):
        return [listed[place]]
    if _SEVERAL.search(text) and len(listed) > 1:
        return list(listed)
    focus = _focus(name, recent, reader)
    if focus or listed:
        return focus or listed
    known = state.slots.get(name)
    return () if known is None else (known,)


def _focus(name: str, recent: Sequence[Exchange], reader: SlotReader) -> Sequence[Any]:
    """Return what the newest exchange that names any value is about."""
    several: Sequence[Any] = ()
    for exchange in reversed(recent):
        asked = reader.values(name, plain(exchange.message))
        answered = reader.values(name, plain(exchange.answer))
        found = asked if len(asked) == 1 else answered or asked
        if len(found) == 1:
            return found
        several = several or found
        # "What else is near it?" is answered by a list: "it" is still what it was before.
        if found and not points_back(exchange.message):
            break
    return several


def _place(text: str) -> int | None:
    """Return which of those that were listed is meant; None where none is, or more than one."""
    found = places_in(plain(text).folded)
    return next(iter(found)) if len(found) == 1 else None
