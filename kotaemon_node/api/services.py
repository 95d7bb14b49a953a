"""What the routes are given: the services of a pod, composed by ``bootstrap``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kotaemon_node.api.authority import Authority
from kotaemon_node.api.channel_forms import ChannelDesk
from kotaemon_node.api.credential_guard import CredentialGuard
from kotaemon_node.api.embeddings import Embed
from kotaemon_node.api.knowledge_services import FaqService, KnowledgeService, TenantsService
from kotaemon_node.api.people_services import FaqDraftService, HandoffService
from kotaemon_node.api.use_desk import UseDesk
from kotaemon_node.api.voice.offer import VoiceOffer
from kotaemon_node.api.websocket.rules import SocketRules
from kotaemon_node.audit_log.reading import AuditReader
from kotaemon_node.domain.client_address import Proxies
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.limits import SOURCE_CACHE_S_DEFAULT
from kotaemon_node.domain.plugin_manifest import Manifest as PluginManifest
from kotaemon_node.domain.plugin_releases import PluginRow, PluginWish
from kotaemon_node.domain.session import (
    Principal,
    SessionKey,
    SessionPlace,
    Turn,
    TurnKey,
    TurnRequest,
)
from kotaemon_node.ports.analytics import Analytics
from kotaemon_node.ports.audit import AuditLog, NoAuditLog
from kotaemon_node.ports.breakers import Breakers
from kotaemon_node.ports.feedback import Feedback
from kotaemon_node.ports.jobs import JobQueue
from kotaemon_node.ports.knowledge import PodReport, Presence
from kotaemon_node.ports.later import LaterDesk
from kotaemon_node.ports.plugin_registry import Desired
from kotaemon_node.ports.runtime import Clock, IdSource
from kotaemon_node.ports.sessions import ClaimOutcome, SessionStore
from kotaemon_node.ports.traces import NO_TRACES, Traces
from kotaemon_node.ports.turn_records import TurnRecords
from kotaemon_node.ports.uploads import UploadRoom
from kotaemon_node.telemetry.metrics import Metrics


class TurnService(Protocol):
    """Runs turns; implemented by ``engine.turns.TurnEngine``."""

    def submit(self, request: TurnRequest) -> ClaimOutcome:
        """Accept the turn; from here it runs even if nobody listens. Errors as ``claim``."""
        ...

    def follow(self, key: TurnKey, principal: Principal, *, after: int) -> Iterator[Frame | None]:
        """Yield the frames above ``after``, live, to the terminal one; None asks for a heartbeat.

        Raises ``Gone`` where ``after`` lies beyond the last stored number, ``TurnNotFound`` where
        there is no such turn. Both come before the first frame, on the first ``next``.
        """
        ...

    def follow_session(
        self, key: SessionKey, principal: Principal, *, place: SessionPlace
    ) -> Iterator[Frame | None]:
        """Yield the frames of every turn of the session from ``place`` on, turn by turn, for ever.

        Each turn is announced by a ``turn`` frame before its first one; from now on means that of
        the turns that are open only later frames come. None asks for a heartbeat, and is the first
        item, so that the answer begins. Raises ``SessionNotFound`` and, where the store does not
        know ``place``, ``Gone`` on the first ``next``; later ``Gone`` when the session is deleted.
        """
        ...

    def wait(self, key: TurnKey, principal: Principal, *, timeout_s: float) -> Turn | None:
        """Return the finished turn, or None when it is not finished within ``timeout_s``.

        For callers whose ``submit`` of this turn was accepted for ``principal`` before: who may
        see a turn that runs on this pod is not asked again.
        """
        ...

    def cancel(self, key: TurnKey, principal: Principal) -> Turn:
        """End the turn as cancelled from any pod; a finished turn stays as it is."""
        ...

    @property
    def running(self) -> int:
        """Turns that this pod executes now."""
        ...


class FeedbackDesk(Protocol):
    """Takes what people say of answers; implemented by ``engine.rating.Ratings``."""

    def rate(self, key: TurnKey, turn: Turn, said: Feedback) -> None:
        """Keep it in place of what was said of the turn before; ``TurnNotFound``."""
        ...

    def of(self, key: SessionKey, turn_ids: Sequence[str]) -> Mapping[str, Feedback]:
        """Return what was said of these turns."""
        ...


class PluginService(Protocol):
    """What is wanted of plugins; implemented by ``engine.plugin_desk.PluginDesk``."""

    def desired(self) -> Desired:
        """Return what is wanted of all plugins."""
        ...

    def manifest(self, row: PluginRow) -> PluginManifest | None:
        """Return what the newest version declares, None where that cannot be read."""
        ...

    def push(
        self, raw: bytes, *, key_id: str, signature: str, wish: PluginWish, by: str
    ) -> PluginRow:
        """Take a signed bundle as the newest version of its plugin."""
        ...

    def change(self, name: str, wish: PluginWish, *, by: str) -> PluginRow:
        """Change what is wanted of a plugin; ``NotFound``."""
        ...

    def reload(self, name: str, *, by: str) -> PluginRow:
        """Have every pod read its secrets again; ``NotFound``."""
        ...

    def remove(self, name: str, *, by: str) -> None:
        """Take it out of use; ``NotFound``."""
        ...


class PodState(Protocol):
    """This pod's own view of itself."""

    @property
    def name(self) -> str:
        """``worker-0``: the name in ``kotaemon ps``."""
        ...

    @property
    def incarnation(self) -> str:
        """Unique to this start of the process."""
        ...

    @property
    def draining(self) -> bool:
        """True once the pod was told to leave."""
        ...

    def unready_reasons(self) -> Sequence[str]:
        """Return why the pod cannot serve; empty when it is ready. Must not block."""
        ...

    def report(self) -> PodReport:
        """Return what the pod says of itself in its heartbeat."""
        ...


class StoreSeen(Protocol):
    """What is known of the session store; true while it was seen away."""

    def __bool__(self) -> bool: ...

    def tries(self) -> bool:
        """Tell whether the caller is to try the store, and to say how that went."""
        ...

    def failed(self) -> None:
        """Note that it did not answer."""
        ...

    def answered(self) -> None:
        """Note that it did."""
        ...


class DirectService(Protocol):
    """Answers without the session store; implemented by ``engine.direct.DirectAnswers``."""

    @property
    def away(self) -> StoreSeen:
        """By what callers judge whether to come here."""
        ...

    def answer(self, question: str, *, tenant: str, trace_id: str) -> Turn:
        """Return a turn without an id, which is nowhere kept; ``Overloaded``, as a search."""
        ...


@dataclass(frozen=True, slots=True)
class UploadDesk:
    """How this pod takes files."""

    room: UploadRoom
    refusal_of: Callable[[str], str | None]
    """Tells why no file of this name can be read, None where one can."""
    native: Callable[..., Any]
    """Runs what writes to the disk away from the serving loop."""
    folder: Path | None = None
    """Where they lie while they arrive; None: the system's folder for temporary files."""


@dataclass(frozen=True, slots=True)
class OpenAiOffer:
    """What OpenAI's routes offer besides answers."""

    language_model: str = ""
    """Its name; "" where none answers."""
    embed: Mapping[str, Embed] = field(default_factory=dict)
    """The models that embed, by name."""


@dataclass(frozen=True, slots=True)
class Services:
    """All that the routes use."""

    sessions: SessionStore
    turns: TurnService
    knowledge: KnowledgeService
    faq: FaqService
    jobs: JobQueue
    later: LaterDesk
    uploads: UploadDesk
    presence: Presence
    pod: PodState
    clock: Clock
    ids: IdSource
    auth_mode: str
    cluster_id: str
    """Named in the balancer's check path, so that a stranger's port is never taken for ours."""
    tenants: TenantsService | None = None
    """None: ``knowledge`` and ``faq``, which are those of ``default``, are all there is."""
    authority: Authority | None = None
    """Judges credentials and ids of sessions in mode ``keys``; None in open mode."""
    metrics: Metrics = field(default_factory=Metrics)
    """Shared with the engine, so that one scrape shows the whole pod."""
    direct: DirectService | None = None
    """Answers ``GET /ask`` while the session store is away; None: it is refused then."""
    traces: Traces = NO_TRACES
    analytics: Analytics | None = None
    records: TurnRecords | None = None
    """Audit records; None: none are kept."""
    feedback: FeedbackDesk | None = None
    plugins: PluginService | None = None
    breakers: Breakers | None = None
    """Those of plugins; None: there are none."""
    handoffs: HandoffService | None = None
    drafts: FaqDraftService | None = None
    openai: OpenAiOffer = field(default_factory=OpenAiOffer)
    source_cache_s: int = SOURCE_CACHE_S_DEFAULT
    """For how long others may keep a cited source without asking."""
    channels: ChannelDesk | None = None
    """Chat platforms; None: there are none."""
    voice: VoiceOffer = field(default_factory=VoiceOffer)
    """What is heard and spoken; nothing where it is left out."""
    audit: AuditLog = field(default_factory=NoAuditLog)
    audit_desk: AuditReader | None = None
    """Reads it; None: there is none."""
    use: UseDesk | None = None
    """Counts what is used; None: nothing is limited."""
    guard: CredentialGuard | None = None
    """Slows down who tries credentials; None: nobody is."""
    proxies: Proxies = field(default_factory=lambda: Proxies.of(""))
    """Who is believed in what it says of a client's address."""
    sockets: SocketRules = field(default_factory=SocketRules)
    """What WebSocket connections are allowed."""
