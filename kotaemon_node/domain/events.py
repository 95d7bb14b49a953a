"""Events of the bus. Hints only: a pod acts on the truth it reads, never on the event (I8)."""

from dataclasses import dataclass
from typing import Final

KNOWLEDGE_UPDATED: Final = "knowledge_updated"
SESSION_UPDATED: Final = "session_updated"
CONFIG_UPDATED: Final = "config_updated"
TURN_LOG: Final = "turn_log"
TOPICS: Final = (KNOWLEDGE_UPDATED, SESSION_UPDATED)


@dataclass(frozen=True, slots=True)
class KnowledgeUpdated:
    """A generation was published. Keyed by knowledge base."""

    event_id: str
    tenant: str
    kb: str
    generation: int
    parent: str | None
    manifest: str
    sha256: str
    at: str
    trace_id: str


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
