"""What an operator writes about intents: how they are told, what they need, and what corrects them.

The book is what ``INTENTS_FILE`` holds (docs/how-to/intents.md), checked, as values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

SlotType = Literal["text", "integer", "number", "date", "amount", "email", "choice"]

OUTSIDE: Final = "none"
"""Name under which a book gives examples of messages that have no intent."""


@dataclass(frozen=True, slots=True)
class SlotRule:
    """How a value is found in a message, and what is a legal one."""

    name: str
    type: SlotType = "text"
    patterns: tuple[str, ...] = ()
    """Regular expressions (RE2); the first group is the value, or the whole match."""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of ``choice``: value to the words that mean it."""
    form: str = ""
    """Regular expression that the whole value matches."""
    least: float | None = None
    most: float | None = None
    """Bounds of ``integer``, ``number`` and ``amount``."""
    ask: Mapping[str, str] = field(default_factory=dict)
    """Language to the question by which a missing value is asked for."""


@dataclass(frozen=True, slots=True)
class IntentRule:
    """One intent."""

    name: str
    description: str = ""
    keywords: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    """Regular expressions that keep keywords and patterns from counting."""
    examples: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    """Slots that this intent uses; of others it is told nothing."""
    needs: tuple[str, ...] = ()
    """Those of them without which it cannot be answered."""


@dataclass(frozen=True, slots=True)
class Condition:
    """When a correction applies: all that is given has to hold; what is not given holds."""

    intents: tuple[str | None, ...] = ()
    """The intent is one of them; None stands for no intent."""
    slots: Mapping[str, Any] = field(default_factory=dict)
    """Slot to its value; True: it has any, False: it has none."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """Key of the session's context to its value; True and False as of slots."""
    topic: str = ""
    """Regular expression that occurs in the topic."""
    text: str = ""
    """Regular expression that occurs in the message."""
    previous: tuple[str, ...] = ()
    """One of these intents was that of one of the last ``within`` turns."""
    within: int = 3
    below: float | None = None
    """The confidence is below it."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A rule that changes what was recognised; the first that applies is the only one."""

    when: Condition
    intent: str | None
    """The intent instead; None: the message has none."""
    slots: Mapping[str, Any] = field(default_factory=dict)
    """Values that are set besides."""


@dataclass(frozen=True, slots=True)
class IntentBook:
    """All of a file."""

    intents: tuple[IntentRule, ...] = ()
    slots: Mapping[str, SlotRule] = field(default_factory=dict)
    corrections: tuple[Correction, ...] = ()
    outside: tuple[str, ...] = ()
    """Examples of messages that have no intent."""

    def rule(self, intent: str) -> IntentRule | None:
        """Return the rule of an intent; None where only plugins know it."""
        return next((rule for rule in self.intents if rule.name == intent), None)


EMPTY_BOOK: Final = IntentBook()
