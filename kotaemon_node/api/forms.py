"""The forms of answers about talks and pods, field by field. OpenAPI's schemas come from here.

A turn and a session row are shown as the domain has them; the rest is spelled out here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kotaemon_node.api.errors import ErrorBody
from kotaemon_node.domain.handoff import Handoff
from kotaemon_node.domain.session import SessionRow, Turn
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.feedback import Rating


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """An answer with its sources; ``response`` is empty while ``state`` is not final."""

    response: str
    session_id: str
    turn_id: str
    sources: Sequence[Mapping[str, Any]]
    trace_id: str
    state: State
    degraded: str | None
    handoff: bool
    """A person has the session and is to answer."""


@dataclass(frozen=True, slots=True)
class AskAnswer:
    """An answer to one question; ``source`` lists what it cites."""

    answer: str
    source: Sequence[Mapping[str, Any]]
    trace_id: str
    session_id: str
    turn_id: str
    state: State
    degraded: str | None


@dataclass(frozen=True, slots=True)
class SessionCreated:
    """A new session. ``created_at`` is in seconds since 1970, as everywhere."""

    session_id: str
    epoch: str
    version: int
    created_at: float


@dataclass(frozen=True, slots=True)
class PendingForm:
    """What a turn asked the user: a proposal that waits for a yes, or a value of ``choices``."""

    turn_id: str
    kind: Literal["yes", "value"]
    summary: str
    """The exact action that a yes carries out; empty where a value is asked for."""
    choices: Sequence[str]


@dataclass(frozen=True, slots=True)
class SessionForm:
    """A session and a page of its turns, oldest first; ``feedback`` by turn id.

    ``pending``: what its last answer asked, null where it asked nothing.
    """

    session_id: str
    epoch: str
    version: int
    hash: str
    created_at: float
    active_at: float
    turns: Sequence[Turn]
    slots: Mapping[str, Any]
    topic: str
    pending: PendingForm | None
    summary: str
    context: Mapping[str, Any]
    user_id: str | None
    channel: str | None
    generations: Mapping[str, int]
    running_turn: str | None
    handoff: Handoff | None
    feedback: Mapping[str, Rating]


@dataclass(frozen=True, slots=True)
class SessionList:
    """A page of the caller's sessions, newest first; ``next_offset`` is null on the last page."""

    sessions: Sequence[SessionRow]
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class Alive:
    """The process answers; nothing else is said."""

    status: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this pod can serve, and what it serves.

    ``refused``: knowledge base to the reason why its newest generation is not served here; such a
    pod stays ready with the generation before. ``behind``: knowledge base to
    the newer generation that another pod serves; after half a minute such a pod takes no new work,
    but never the last half of the pods. ``store``: the pod's heartbeats reach the session store.
    ``vector_store``: why segments are searched in their own files although a vector store is set;
    empty where all is well. It is no reason to be unready.
    """

    ready: bool
    reasons: Sequence[str]
    name: str
    incarnation: str
    draining: bool
    generations: Mapping[str, int]
    refused: Mapping[str, str]
    behind: Mapping[str, int]
    store: bool
    vector_store: str


@dataclass(frozen=True, slots=True)
class Unready:
    """The same with status 503, and the form that every error has besides."""

    ready: bool
    reasons: Sequence[str]
    name: str
    incarnation: str
    draining: bool
    generations: Mapping[str, int]
    refused: Mapping[str, str]
    behind: Mapping[str, int]
    store: bool
    vector_store: str
    error: ErrorBody
