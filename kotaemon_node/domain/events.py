"""Events of the bus. Hints only: a pod acts on the truth it reads, never on the event."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from kotaemon_node.domain.ids import DEFAULT_TENANT

KNOWLEDGE_UPDATED: Final = "knowledge_updated"
SESSION_UPDATED: Final = "session_updated"
CONFIG_UPDATED: Final = "config_updated"
TURN_LOG: Final = "turn_log"
BUILD_TASK: Final = "build_task"
BUILD_DONE: Final = "build_done"
TOPICS: Final = (KNOWLEDGE_UPDATED, SESSION_UPDATED, CONFIG_UPDATED)
"""Those that every pod reads."""
EVENT_SCHEMA: Final = 1
"""Of the topics that pods read. It goes up when a field changes its meaning or goes."""
TURN_LOG_SCHEMA: Final = 1

SessionEvents = Literal["all", "moved", "none"]
"""Turns that ``session_updated`` tells of: all, those whose session another pod may remember, none.
"""


def knowledge_key(tenant: str, kb: str) -> str:
    """Return the key of a knowledge base's events: of ``default`` its name, as it always was."""
    return kb if tenant == DEFAULT_TENANT else f"{tenant}/{kb}"


@dataclass(frozen=True, slots=True)
class KnowledgeUpdated:
    """A generation was published. Keyed by ``knowledge_key``."""

    event_id: str
    tenant: str
    kb: str
    generation: int
    parent: str | None
    manifest: str
    sha256: str
    at: str
    trace_id: str
    schema: int = EVENT_SCHEMA


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """A turn was committed. Keyed by session id."""

    event_id: str
    tenant: str
    session_id: str
    turn_id: str
    epoch: str
    version: int
    hash: str
    schema: int = EVENT_SCHEMA


PLUGIN: Final = "plugin"
"""Kind of ``ConfigUpdated``: what is wanted of a plugin changed."""
DATA_KEYS: Final = "data_keys"
"""Kind of ``ConfigUpdated``: the keys of a tenant were made or destroyed."""


@dataclass(frozen=True, slots=True)
class ConfigUpdated:
    """What is wanted of a plugin changed, or the data keys of a tenant. Keyed by either."""

    event_id: str
    tenant: str
    kind: str
    """``PLUGIN`` or ``DATA_KEYS``; of another kind it is for another reader."""
    name: str
    revision: int
    """Of what is wanted of all plugins of the tenant."""
    at: str
    schema: int = EVENT_SCHEMA


@dataclass(frozen=True, slots=True)
class TurnLogged:
    """A turn was finished. Keyed by session id; read by no pod, but kept where the bus keeps.

    A repeat is equal to what it repeats, as long as the session's epoch stands.
    """

    schema: int
    event_id: str
    """``tenant:session:epoch:turn``."""
    tenant: str
    session_id: str
    turn_id: str
    epoch: str
    version: int
    state: str
    at: str
    """When the turn was accepted: ISO 8601, UTC."""
    timings: Mapping[str, float]
    usage: Mapping[str, Any]
    generation: Mapping[str, int]
    degraded: str | None
    trace_id: str
    pod: str
    """The incarnation that finished it."""
    profile: str = ""
    """The arm of an experiment by which it was answered; "": none runs."""
    unanswered: bool = False
    """The answer says that it does not know, or rests on no source."""
    message: str | None = None
    """With ``TURN_LOG_TEXTS`` only, as ``answer``."""
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class BuildTask:
    """A document to be read and encoded by a build worker. Keyed by document."""

    tenant: str
    kb: str
    document: str
    revision: str
    """sha256 (hex) of its bytes."""
    size_bytes: int
    source: str
    """Where its bytes lie in the artifact store."""
    piece: str
    """Where the result is to lie."""
    encoder: str
    """Who encodes with another leaves the task to the leader."""
    ingest: str
    """The rules of ingest; the same."""


@dataclass(frozen=True, slots=True)
class BuildDone:
    """A build worker has ended a task. Keyed by document."""

    tenant: str
    kb: str
    document: str
    piece: str
    worker: str
