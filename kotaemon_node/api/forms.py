"""The forms of answers: what users read, field by field. OpenAPI's schemas come from here.

A turn and a session row are shown as the domain has them; the rest is spelled out here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kotaemon_node.api.errors import ErrorBody
from kotaemon_node.domain.handoff import Handoff
from kotaemon_node.domain.held import HeldBuild
from kotaemon_node.domain.knowledge import DocumentStatus, PassageKind
from kotaemon_node.domain.session import SessionRow, Turn
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.feedback import Rating
from kotaemon_node.ports.jobs import JobState


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
class CallerForm:
    """Who the caller is; in open mode everybody is ``anonymous`` with the role ``open``."""

    tenant: str
    subject: str
    role: str


@dataclass(frozen=True, slots=True)
class IssuerForm:
    """An issuer that one may log in with: ``GET /v1/login/oidc?issuer=<name>``."""

    name: str
    label: str
    """For people, behind "Log in with"."""


@dataclass(frozen=True, slots=True)
class WaysIn:
    """By what one may log in: ``key``, where the cluster is closed, and ``issuers``."""

    key: bool
    issuers: list[IssuerForm]


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """Where the browser goes to be logged out at the issuer, too."""

    address: str


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
class PassageForm:
    """A passage found: where it stands, how close it is, and where it can be read in place."""

    id: str
    document: str
    revision: str
    title: str
    page: int | None
    heading: Sequence[str]
    span: tuple[int, int]
    kind: PassageKind
    text: str
    score: float
    url: str


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """The best passages of one generation, best first."""

    kb: str
    generation: int
    digest: str
    passages: Sequence[PassageForm]


@dataclass(frozen=True, slots=True)
class SourceForm:
    """A cited passage in its document as it was: ``text[span[0]:span[1]]`` in code points.

    ``quotes`` are the places in it that the caller named as those which were cited.
    """

    id: str
    kb: str
    generation: int
    document: str
    revision: str
    title: str
    span: tuple[int, int]
    text: str
    quotes: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class KnowledgeForm:
    """A knowledge base as this pod serves it.

    ``recall``: on its probe set, when it passed the gate. ``refused``: documents whose files are
    not followed since a rollback. ``held``: the build that the gate keeps out, and why.
    """

    kb: str
    generation: int
    digest: str
    parent: str | None
    encoder: str
    documents: int
    failed: int
    passages: int
    created_at: str
    rolled_back_to: int | None
    refused: Sequence[str]
    recall: float | None
    held: HeldBuild | None


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document of the generation served; ``reason`` says why one failed.

    ``queued_revision``: what was uploaded of it and waits to be read.
    """

    document: str
    revision: str
    title: str
    status: DocumentStatus
    reason: str | None
    file_bytes: int
    text_chars: int
    passages: int
    indexed_at: str
    queued_revision: str | None


@dataclass(frozen=True, slots=True)
class DocumentList:
    """A page of a knowledge base's documents."""

    kb: str
    generation: int
    documents: Sequence[DocumentRow]
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that was taken, and the job that ends when it has been read."""

    document: str
    revision: str
    job: str


@dataclass(frozen=True, slots=True)
class UploadForm:
    """The files of a request that were taken; the first one at the top."""

    document: str
    revision: str
    job: str
    uploads: Sequence[Uploaded]


@dataclass(frozen=True, slots=True)
class DocumentPassage:
    """A passage's place in its document."""

    id: str
    span: tuple[int, int]
    heading: Sequence[str]
    page: int | None
    kind: PassageKind


@dataclass(frozen=True, slots=True)
class DocumentForm:
    """A document with its canonical text, null where it failed."""

    kb: str
    generation: int
    document: str
    revision: str
    title: str
    status: DocumentStatus
    reason: str | None
    file_bytes: int
    text_chars: int
    indexed_at: str
    queued_revision: str | None
    text: str | None
    passages: Sequence[DocumentPassage]


@dataclass(frozen=True, slots=True)
class GenerationForm:
    """A generation that is kept; exactly one is ``served`` by this pod.

    ``complete``: its index is kept, too, so that a rollback can go there.
    """

    generation: int
    digest: str
    parent: str | None
    encoder: str
    documents: int
    passages: int
    created_at: str
    served: bool
    complete: bool
    rolled_back_to: int | None


@dataclass(frozen=True, slots=True)
class GenerationList:
    """The generations of a knowledge base, newest first."""

    kb: str
    generations: Sequence[GenerationForm]


@dataclass(frozen=True, slots=True)
class JobForm:
    """An order and what became of it; ``result`` names the generation that it made."""

    job: str
    kind: str
    kb: str
    fields: Mapping[str, Any]
    state: JobState
    reason: str | None
    result: Mapping[str, Any]
    attempts: int
    created_at: float
    changed_at: float


@dataclass(frozen=True, slots=True)
class JobList:
    """The newest orders, newest first."""

    jobs: Sequence[JobForm]


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
