"""Sessions and their turns as values. A session's truth lives in the store, never in a pod."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.domain.handoff import Handoff
from kotaemon_node.domain.turn import State

OnBusy = Literal["enqueue", "reject", "interrupt"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. In open mode everybody is the one ``anonymous`` principal of tenant ``default``."""

    tenant: str
    subject: str
    role: Literal["admin", "editor", "agent", "customer", "open", "system"]
    """``system``: what the cluster itself does to a session; no key and no login has it."""
    credential: str = ""
    """Names the key or issuer by which they came, never a secret; "" where none was needed."""
    scopes: frozenset[str] = frozenset()
    """Groups of routes that the credential is narrowed to; none: all that the role may."""

    @property
    def sees_all(self) -> bool:
        """Whether every session of the tenant is theirs to see; others see their own."""
        return self.role in {"admin", "agent", "system"}


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Names a session in the store; the tenant is part of every key."""

    tenant: str
    session_id: str


@dataclass(frozen=True, slots=True)
class TurnKey:
    """Names a turn in the store."""

    session: SessionKey
    turn_id: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn in the one form in which users see it; see docs/GLOSSARY.md for the words.

    ``sources`` are the ``docs`` of its ``source`` frames. ``generation`` maps knowledge base to the
    generation used. ``version`` is the session version that its commit made, 0 before.
    """

    turn_id: str
    message: str
    state: State
    answer: str = ""
    sources: tuple[Mapping[str, Any], ...] = ()
    version: int = 0
    generation: Mapping[str, int] = field(default_factory=dict)
    owner: str | None = None
    """The pod incarnation that executes it, or did last."""
    attempts: int = 0
    """How often a pod began it, or went on with it."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    """Tokens and cost, as ``engine.terms.ModelTerms.told``; empty where no model was asked."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds since its last owner began: ``total``, and ``first_text`` where any was shown."""
    degraded: str | None = None
    """Code of the error for which the answer is less than it could be."""
    error: Mapping[str, Any] | None = None
    """``code``, ``message`` and ``retryable`` of a turn that failed."""
    trace_id: str = ""
    created_at: float = 0.0
    """When it was accepted, in seconds since 1970, by the store's clock."""
    profile: str = ""
    """By which arm of an experiment it was answered, ``experiment/a`` or ``/b``; "": none runs."""
    unanswered: bool = False
    """The answer says that it does not know, or rests on no source."""
    faq: bool = False
    """An entry of an FAQ is the answer."""
    cached: bool = False
    """Another turn made the answer: it was kept, or joined while it was made."""
    author: str = ""
    """Who says the answer: ``agent``, a person; "": the bot."""
    name: str = ""
    """That of the person."""
    event: str = ""
    """``handoff`` or ``handback``: what happened to the session with this turn."""
    handoff: bool = False
    """A person has the session: no bot answers this message."""
    origin: str = ""
    """``follow_up``: nobody asked for it; "": somebody sent the message."""
    ref: str = ""
    """What a follow-up tells of; of a channel's message the id that the platform gave it."""

    @property
    def by_bot(self) -> bool:
        """Whether a bot was to answer it."""
        return not self.author and not self.handoff and (bool(self.message) or not self.event)


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as read: its head and some of its turns, oldest first.

    ``version`` counts committed turns; ``turns`` are those after ``after_version``.
    """

    session_id: str
    epoch: str
    version: int
    hash: str
    created_at: float
    active_at: float
    turns: tuple[Turn, ...]
    context: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    """Tells of the turns up to ``summary_to``."""
    summary_to: int = 0
    """A version; later turns are read whole."""
    user_id: str | None = None
    channel: str | None = None
    generations: Mapping[str, int] = field(default_factory=dict)
    """Knowledge base to the newest generation that the session has seen; it never goes back."""
    running_turn: str | None = None
    """The turn that runs now."""
    state: DialogueState = field(default_factory=DialogueState)
    handoff: Handoff | None = None
    """Since when a person has the session; None: the bot answers."""

    @property
    def slots(self) -> Mapping[str, Any]:
        """What the conversation is about, by name."""
        return self.state.slots

    @property
    def topic(self) -> str:
        """What the talk is about, in a few words."""
        return self.state.topic


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A line in the list of a principal's sessions."""

    session_id: str
    created_at: float
    active_at: float
    version: int
    title: str
    """First message, shortened."""
    archived: bool = False
    """It rests in the archive; whoever reads it brings it back."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """A message, checked by the route. ``options`` holds kb, min_generation, intent_filter."""

    key: TurnKey
    principal: Principal
    message: str
    options: Mapping[str, Any]
    on_busy: OnBusy
    trace_id: str
    create_session: bool
    epoch: str = ""
    """The epoch by which the caller knows the session; "" where it doesn't say."""


@dataclass(frozen=True, slots=True)
class SessionPlace:
    """From where on a session is followed: behind a frame, else behind a version, else from now."""

    turn_id: str = ""
    seq: int = 0
    """Number of the last frame of ``turn_id`` that was seen."""
    version: int | None = None
    """How many turns of the history are known."""
