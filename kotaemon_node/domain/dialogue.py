"""What a session knows besides its history: slots, topic, what waits for a yes or for a value.

One JSON object that is replaced together with the commit of a turn, so it always belongs to the
version of the history. What another program wrote into it and this one cannot read counts as
absent: a proposal that is not understood is never carried out.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Self

from kotaemon_node.domain.acting_limits import (
    STATE_ENTITIES_MAX,
    STATE_ENTITY_VALUES_MAX,
    STATE_INTENTS_MAX,
    STATE_NAME_CHARS_MAX,
    STATE_PENDING_BYTES_MAX,
    STATE_QUESTION_CHARS_MAX,
    STATE_SLOTS_MAX,
    STATE_TOPIC_CHARS_MAX,
    STATE_VALUE_BYTES_MAX,
)


@dataclass(frozen=True, slots=True)
class Pending:
    """A proposal: a call that waits for a yes, and is carried out with no other arguments."""

    plugin: str
    arguments: Mapping[str, Any]
    summary: str
    """Names the exact action, as the plugin says it."""
    effects: str
    asked_at_version: int
    """Version of the session when the asking turn began."""
    plugin_version: str = ""
    """That proposed it: another one may mean something else by the same arguments."""
    asked_by: str = ""
    """The turn that asks for the yes."""
    asked_at: float = 0.0
    """When that turn was accepted, by the store's clock, in seconds since 1970."""

    @property
    def fits(self) -> bool:
        """Whether it is small enough to be kept."""
        return _bytes(asdict(self)) <= STATE_PENDING_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Wanted:
    """A value that a turn asked for, so that the next message may be just that."""

    intent: str
    slot: str
    choices: tuple[str, ...] = ()
    """The values that were offered; empty: any."""
    question: str = ""
    """What the user had asked, at most ``STATE_QUESTION_CHARS_MAX`` of it; it is answered when the
    value is there.
    """
    asked_by: str = ""
    asked_at: float = 0.0

    def bounded(self) -> "Wanted":
        """Return it with the beginning of its question: who asks again and again adds to it."""
        return replace(self, question=self.question[:STATE_QUESTION_CHARS_MAX])


@dataclass(frozen=True, slots=True)
class DialogueState:
    """The state of a session. ``slots`` are oldest first, by when they were last said."""

    slots: Mapping[str, Any] = field(default_factory=dict)
    topic: str = ""
    """What the talk is about, in a few words; "" for nothing yet."""
    intents: tuple[str, ...] = ()
    """Of the last turns that had one, the newest last."""
    pending: Pending | None = None
    wanted: Wanted | None = None
    entities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Slot to the values that the last answer named: what "it" and "the second one" may mean."""

    def wanting(self, intent: str) -> Self:
        """Return it with the intent of this turn."""
        return replace(self, intents=(*self.intents, intent)[-STATE_INTENTS_MAX:])

    def saying(self, slots: Mapping[str, Any]) -> Self:
        """Return it with ``slots`` said now; what is too long to be kept is left out."""
        fresh = {name: value for name, value in slots.items() if _keepable(name, value)}
        kept = {name: value for name, value in self.slots.items() if name not in fresh} | fresh
        newest = list(kept.items())[-STATE_SLOTS_MAX:]
        return replace(self, slots=dict(newest))

    def open_again(self, slots: Iterable[str]) -> Self:
        """Return it without the values of ``slots``: an answer names several, and none is meant."""
        several = set(slots)
        return replace(self, slots={it: one for it, one in self.slots.items() if it not in several})

    def naming(self, entities: Mapping[str, Sequence[str]]) -> Self:
        """Return it with what the answer names in place of what an earlier one named."""
        named = {
            slot: tuple(v for v in values if _keepable(slot, v))[:STATE_ENTITY_VALUES_MAX]
            for slot, values in list(entities.items())[:STATE_ENTITIES_MAX]
        }
        return replace(self, entities={slot: values for slot, values in named.items() if values})

    def to_json(self) -> Mapping[str, Any]:
        """Return it as a JSON object without what is empty."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, fields: Any) -> Self:
        """Read ``to_json`` back, leaving out what cannot be understood."""
        if not isinstance(fields, Mapping):
            return cls()
        topic = fields.get("topic")
        entities = _mapping(fields.get("entities"))
        return (
            cls(
                pending=_pending(fields.get("pending")),
                wanted=_wanted(fields.get("wanted")),
                topic=topic[:STATE_TOPIC_CHARS_MAX] if isinstance(topic, str) else "",
                intents=_texts(fields.get("intents"))[-STATE_INTENTS_MAX:],
            )
            .saying(_mapping(fields.get("slots")))
            .naming({slot: values for slot, values in entities.items() if isinstance(values, list)})
        )


def _texts(said: Any) -> tuple[str, ...]:
    whole = isinstance(said, list) and all(isinstance(it, str) for it in said)
    return tuple(said) if whole else ()


_EFFECTS: Final = {"read", "idempotent", "once"}


def _pending(said: Any) -> Pending | None:
    fields = _mapping(said)
    try:
        found = Pending(**{name: fields[name] for name in Pending.__slots__ if name in fields})
    except TypeError:
        return None
    texts = (found.plugin, found.summary, found.plugin_version, found.asked_by)
    readable = (
        _are(str, *texts)
        and _are(Mapping, found.arguments)
        and found.effects in _EFFECTS
        and _are((int, float), found.asked_at, found.asked_at_version)
    )
    return found if readable else None


def _wanted(said: Any) -> Wanted | None:
    fields = _mapping(said)
    try:
        found = Wanted(**{name: fields[name] for name in Wanted.__slots__ if name in fields})
    except TypeError:
        return None
    if not _are((list, tuple), found.choices):
        return None
    found = replace(found, choices=tuple(found.choices))
    texts = (found.intent, found.slot, found.question, found.asked_by, *found.choices)
    readable = _are(str, *texts) and _are((int, float), found.asked_at)
    return found.bounded() if readable else None


def _are(kind: Any, *values: Any) -> bool:
    """Tell whether what somebody else wrote is of the declared type."""
    return all(isinstance(value, kind) for value in values)


def _mapping(said: Any) -> Mapping[str, Any]:
    return said if isinstance(said, Mapping) else {}


def _keepable(name: str, value: Any) -> bool:
    """A value is kept whole or not at all: half of an order's number is another order."""
    return 0 < len(name) <= STATE_NAME_CHARS_MAX and _bytes(value) <= STATE_VALUE_BYTES_MAX


def _bytes(value: Any) -> float:
    """Return the length of ``value`` as JSON; of what no UTF-8 can hold, no limit is enough."""
    try:
        return len(json.dumps(value, ensure_ascii=False).encode())
    except ValueError:
        return math.inf
