"""What a message wants: an intent with its slots, found by recognisers of several kinds."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from kotaemon_node.ports.language_model import Usage
from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.ports.tools import Caller

SURE = 0.5
"""Confidence from which on an intent is taken; each recogniser scales its own so."""


@dataclass(frozen=True, slots=True)
class IntentContext:
    """In what a message is said."""

    caller: Caller
    topic: str = ""
    previous: tuple[str, ...] = ()
    """Intents of the turns before, the newest last."""
    allowed: frozenset[str] | None = None
    """The caller's ``intent_filter``; None: every intent, empty: none."""
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Intent to its utterances, of the hooks of plugins."""
    asked: str = ""
    """The slot that the answer before asked for."""
    today: datetime.date | None = None
    """By which "tomorrow" is a date; None: it is none."""

    def allows(self, intent: str) -> bool:
        """Tell whether the caller lets this intent be taken."""
        return self.allowed is None or intent in self.allowed


@dataclass(frozen=True, slots=True)
class Recognition:
    """What was recognised. ``intent`` None: a question to the documents."""

    intent: str | None
    confidence: float
    """From 0 to 1; from ``SURE`` on the intent is taken."""
    slots: Mapping[str, Any] = field(default_factory=dict)
    """Slot to a JSON value of its type."""
    several: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Of slots of which the message gives more than one value: all of them, the last taken."""
    by: str = ""
    """Which recogniser: ``rules``, ``service``, ``examples``, ``model``; "": none was sure."""
    candidates: tuple[tuple[str, float], ...] = ()
    """The best intents with their confidences, best first; for records and for asking back."""
    usage: Usage | None = None
    """Tokens of a language model that was asked."""
    corrected: str = ""
    """The intent before a correction; "": none applied."""


NOTHING = Recognition(intent=None, confidence=0.0)


class Recogniser(Protocol):
    """One way to find the intent of a message. Thread safe."""

    def recognise(self, text: str, *, context: IntentContext, stop: StopSignal) -> Recognition:
        """Return what ``text``, the question that stands alone, wants; ``NOTHING`` when unsure.

        Ends within a time limit of its own, on any text. What it cannot ask is no error: then it
        returns ``NOTHING``. Only the reason of ``stop`` is raised.
        """
        ...


class IntentServiceFailed(Exception):
    """A service that recognises cannot be reached, is late, or says what cannot be understood."""


class IntentService(Protocol):
    """Recognises elsewhere. Thread safe."""

    @property
    def name(self) -> str:
        """Its host, for logs and metrics."""
        ...

    def ask(self, text: str, *, context: IntentContext, stop: StopSignal) -> Recognition:
        """Return what it says, within a time limit; its confidence as it says it.

        Raises ``IntentServiceFailed``, and the reason of ``stop``.
        """
        ...
