"""A scripted pod for tests of the routes: in memory, one thread, obeying the ports' contracts.

A test changes the parts (``cluster.pod.reasons``, ``cluster.turns.script`` …) and asks the routes.
The engine and the stores have their own tests; nothing here shows how they behave under load.
"""

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from kotaemon_node.adapters.documents.endings import unsupported
from kotaemon_node.api.app import create_app
from kotaemon_node.api.authority import Authority
from kotaemon_node.api.channel_forms import ChannelDesk
from kotaemon_node.api.knowledge_services import TenantsService
from kotaemon_node.api.people_services import FaqDraftService, HandoffService
from kotaemon_node.api.services import (
    DirectService,
    FeedbackDesk,
    OpenAiOffer,
    PluginService,
    Services,
    UploadDesk,
)
from kotaemon_node.domain.errors import (
    Gone,
    SessionNotFound,
    TurnConflict,
    TurnNotFound,
)
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import (
    Principal,
    SessionKey,
    SessionPlace,
    SessionRow,
    SessionView,
    Turn,
    TurnKey,
    TurnRequest,
)
from kotaemon_node.domain.turn import FINISHED, State
from kotaemon_node.ports.analytics import Analytics
from kotaemon_node.ports.artifacts import ArtifactsUnavailable
from kotaemon_node.ports.breakers import Breakers
from kotaemon_node.ports.knowledge import PodReport
from kotaemon_node.ports.sessions import Activity, ClaimOutcome
from kotaemon_node.ports.traces import NO_TRACES, Traces
from kotaemon_node.ports.turn_records import TurnRecords
from kotaemon_node.retrieval.faq_reader import FaqReader
from tests.fakes.faq import FaqShelf
from tests.fakes.jobs import MemoryJobs
from tests.fakes.knowledge_base import GENERATION, SENTENCE, FakeKnowledge, source_doc
from tests.fakes.later import MemoryLater

ANSWER = f"{SENTENCE} [1]"


class FakeClock:
    """Moves only when told to."""

    def __init__(self) -> None:
        self.at_s = 1_700_000_000.0

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s

    def sleep(self, duration_s: float) -> None:
        self.at_s += duration_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


class FakeIds:
    """``id-1``, ``id-2`` …"""

    def __init__(self) -> None:
        self.made = 0

    def new_id(self) -> str:
        self.made += 1
        return f"id-{self.made}"


@dataclass
class FakePod:
    """A pod that is ready until a test says otherwise."""

    name: str = "worker-0"
    incarnation: str = "inc-1"
    draining: bool = False
    reasons: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    behind: dict[str, int] = field(default_factory=dict)

    def unready_reasons(self) -> Sequence[str]:
        return self.reasons

    def report(self) -> PodReport:
        report = pod_report(self.name)
        report["refused"] = self.refused
        report["behind"] = self.behind
        report["store"] = True
        return report


def pod_report(name: str, *, generation: int = GENERATION, since: float = 100.0) -> PodReport:
    """Return what a living pod says of itself."""
    return PodReport(
        name=name,
        incarnation=f"inc-{name}",
        address="127.0.0.1:8000",
        pid=1,
        started_at=50.0,
        ready=True,
        reasons=[],
        running_turns=0,
        version="0.1.0",
        generations={
            "default": {"generation": generation, "digest": f"d{generation}", "since": since}
        },
    )


class FakePresence:
    """The pods that a test put there."""

    def __init__(self) -> None:
        self.reports = [pod_report("worker-0"), pod_report("worker-1", since=120.0)]

    def beat(self, pod: PodReport, *, ttl_s: float) -> None:
        self.reports.append(pod)

    def leave(self, incarnation: str) -> None:
        self.reports = [row for row in self.reports if row["incarnation"] != incarnation]

    def pods(self) -> Sequence[PodReport]:
        return self.reports

    def pod(self, incarnation: str) -> PodReport | None:
        return next((row for row in self.reports if row["incarnation"] == incarnation), None)


class FakeSessions:
    """Sessions in a dict. Only what routes call is there."""

    def __init__(self) -> None:
        self.views: dict[SessionKey, SessionView] = {}
        self.owners: dict[SessionKey, Principal] = {}
        self.running: dict[TurnKey, Turn] = {}

    def create(
        self, key: SessionKey, principal: Principal, *, epoch: str, fields: Mapping[str, Any]
    ) -> SessionView:
        view = SessionView(key.session_id, epoch, 0, "", 100.0, 100.0, (), **fields)
        self.owners[key] = principal
        return self.views.setdefault(key, view)

    def load(
        self,
        key: SessionKey,
        principal: Principal,
        *,
        after_version: int,
        limit: int,
        epoch: str = "",
    ) -> SessionView:
        view = self._mine(key, principal)
        if epoch not in {"", view.epoch}:
            raise Gone("another epoch")
        turns = [turn for turn in view.turns if turn.version > after_version]
        return replace(view, turns=tuple(turns[:limit]))

    def activity(
        self, key: SessionKey, principal: Principal, *, after_version: int, limit: int
    ) -> Activity:
        view = self.load(key, principal, after_version=after_version, limit=limit)
        running = [it.turn_id for it in self.running if it.session == key]
        return Activity(view.epoch, view.version, tuple(running), view.turns)

    def list(
        self, principal: Principal, *, offset: int, limit: int, everybodys: bool = False
    ) -> Sequence[SessionRow]:
        rows = [
            SessionRow(view.session_id, view.created_at, view.active_at, view.version, "title")
            for key, view in reversed(self.views.items())
            if _same_user(self.owners[key], principal) or everybodys
        ]
        return rows[offset : offset + limit]

    def delete(self, key: SessionKey, principal: Principal) -> None:
        self._mine(key, principal)
        del self.views[key]

    def turn(self, key: TurnKey, principal: Principal) -> Turn:
        view = self._mine(key.session, principal)
        for turn in (*view.turns, *filter(None, [self.running.get(key)])):
            if turn.turn_id == key.turn_id:
                return turn
        raise TurnNotFound("the session has no such turn")

    def add(self, key: SessionKey, turn: Turn) -> None:
        view = self.views[key]
        self.views[key] = replace(view, version=turn.version, turns=(*view.turns, turn))

    def _mine(self, key: SessionKey, principal: Principal) -> SessionView:
        view = self.views.get(key)
        if view is None or not (principal.sees_all or _same_user(self.owners[key], principal)):
            raise SessionNotFound("there is no such session")
        return view


class FakeTurns:
    """Ends each turn at once as ``ending`` says, and plays its frames as ``script`` says."""

    def __init__(self, sessions: FakeSessions) -> None:
        self._sessions = sessions
        self.submitted: list[TurnRequest] = []
        self.waited_s: list[float] = []
        self.closed = 0
        self.running = 0
        self.refusal: Exception | None = None
        """Raised by ``submit``."""
        self.ending: dict[str, Any] = {"state": State.DONE, "answer": ANSWER}
        self.pauses: dict[int, Iterable[Exception | None]] = {}
        """What ``follow`` does before the frame of a number: None is a heartbeat, else it fails."""
        self.happening: Iterable[Frame | Exception | None] = ()
        """What ``follow_session`` tells, after its first heartbeat."""
        self.places: list[SessionPlace] = []
        self._digests: dict[TurnKey, str] = {}

    def submit(self, request: TurnRequest) -> ClaimOutcome:
        if self.refusal is not None:
            raise self.refusal
        key = request.key
        if key.session not in self._sessions.views:
            if not request.create_session:
                raise SessionNotFound("there is no such session")
            self._sessions.create(key.session, request.principal, epoch="e1", fields={})
        if request.epoch not in {"", self._sessions.views[key.session].epoch}:
            raise Gone("another epoch")
        digest = json.dumps([request.message, dict(request.options)])
        if key in self._digests:
            if self._digests[key] != digest:
                raise TurnConflict("this turn id was used with another body")
            return ClaimOutcome.FINISHED
        self._digests[key] = digest
        self.submitted.append(request)
        self._end(request)
        return ClaimOutcome.OWNED

    def follow(self, key: TurnKey, principal: Principal, *, after: int) -> Iterator[Frame | None]:
        turn = self._sessions.turn(key, principal)
        frames = frames_of(turn)
        if after > len(frames):
            raise Gone("the store knows fewer frames")
        try:
            for frame in frames[after:]:
                for step in self.pauses.get(frame.seq or 0, []):
                    if step is not None:
                        raise step
                    yield None
                yield frame
        finally:
            self.closed += 1

    def follow_session(
        self, key: SessionKey, principal: Principal, *, place: SessionPlace
    ) -> Iterator[Frame | None]:
        view = self._sessions.load(key, principal, after_version=0, limit=100)
        if place.turn_id and place.turn_id not in {turn.turn_id for turn in view.turns}:
            raise Gone("the session has no such turn")
        self.places.append(place)
        try:
            yield None
            for step in self.happening:
                if isinstance(step, Exception):
                    raise step
                yield step
        finally:
            self.closed += 1

    def wait(self, key: TurnKey, principal: Principal, *, timeout_s: float) -> Turn | None:
        self.waited_s.append(timeout_s)
        turn = self._sessions.turn(key, principal)
        return turn if turn.state in FINISHED else None

    def cancel(self, key: TurnKey, principal: Principal) -> Turn:
        turn = self._sessions.turn(key, principal)
        if turn.state in FINISHED:
            return turn
        cancelled = replace(turn, state=State.CANCELLED)
        self._sessions.running[key] = cancelled
        return cancelled

    def _end(self, request: TurnRequest) -> None:
        key = request.key
        turn = Turn(
            turn_id=key.turn_id,
            message=request.message,
            sources=(source_doc(),),
            generation={"default": GENERATION},
            owner="inc-1",
            attempts=1,
            usage={"prompt_tokens": 0, "completion_tokens": 0, "cost": 0.0},
            timings={"retrieval_s": 0.01},
            trace_id=request.trace_id,
            created_at=100.0,
            **self.ending,
        )
        if turn.state in FINISHED:
            version = self._sessions.views[key.session].version + 1
            self._sessions.add(key.session, replace(turn, version=version))
        else:
            self._sessions.running[key] = turn


def _same_user(one: Principal, other: Principal) -> bool:
    """Whose a session is, does not hang on the credential: as in the real store."""
    return (one.tenant, one.subject) == (other.tenant, other.subject)


def frames_of(turn: Turn) -> list[Frame]:
    """Return the stored frames of a finished turn, numbered from 1."""
    half = len(turn.answer) // 2
    bodies: list[tuple[Any, dict[str, Any]]] = [
        ("status", {"phase": "retrieval", "latency": 0.01}),
        ("source", {"docs": [source_doc()]}),
        ("text", {"content": turn.answer[:half], "offset": 0}),
        ("text", {"content": turn.answer[half:], "offset": half}),
        ("done", {"state": "done", "answer": turn.answer, "version": turn.version}),
    ]
    return [
        Frame(kind, fields, turn.turn_id, turn.trace_id, seq)
        for seq, (kind, fields) in enumerate(bodies, start=1)
    ]


@dataclass
class FakeRoom:
    """``ports.uploads.UploadRoom`` in memory, which can be away."""

    kept: dict[str, bytes] = field(default_factory=dict)
    away: bool = False

    def put(self, name: str, source: Path) -> None:
        if self.away:
            raise ArtifactsUnavailable("the artifact store does not answer")
        self.kept.setdefault(name, source.read_bytes())

    def discard(self, name: str) -> None:
        self.kept.pop(name, None)


def _refusal(document: str) -> str | None:
    refusal = unsupported(document)
    return str(refusal) if refusal is not None else None


@dataclass
class FakeCluster:
    """The parts of a scripted pod, each open to the test."""

    sessions: FakeSessions = field(default_factory=FakeSessions)
    knowledge: FakeKnowledge = field(default_factory=FakeKnowledge)
    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    later: MemoryLater = field(default_factory=MemoryLater)
    presence: FakePresence = field(default_factory=FakePresence)
    pod: FakePod = field(default_factory=FakePod)
    clock: FakeClock = field(default_factory=FakeClock)
    ids: FakeIds = field(default_factory=FakeIds)
    room: FakeRoom = field(default_factory=FakeRoom)
    auth_mode: str = "open"
    authority: Authority | None = None
    cluster_id: str = "test-cluster"
    traces: Traces = NO_TRACES
    direct: DirectService | None = None
    analytics: Analytics | None = None
    records: TurnRecords | None = None
    feedback: FeedbackDesk | None = None
    handoffs: HandoffService | None = None
    drafts: FaqDraftService | None = None
    channels: ChannelDesk | None = None
    plugins: PluginService | None = None
    openai: OpenAiOffer = field(default_factory=OpenAiOffer)
    breakers: Breakers | None = None
    tenants: TenantsService | None = None

    def __post_init__(self) -> None:
        self.turns = FakeTurns(self.sessions)
        self.faq = FaqShelf(self.knowledge)

    def client(self, *, streams_max: int = 10) -> FlaskClient:
        """Return a client of an application around these parts."""
        return create_app(self.services(), streams_max=streams_max).test_client()

    def services(self) -> Services:
        """Return the services for ``create_app``."""
        return Services(
            sessions=self.sessions,  # type: ignore[arg-type]
            turns=self.turns,
            knowledge=self.knowledge,
            faq=FaqReader(self.faq.lend, compute=lambda work, *arguments: work(*arguments)),
            jobs=self.jobs,
            later=self.later,
            uploads=UploadDesk(
                room=self.room,
                refusal_of=_refusal,
                native=lambda work, *arguments: work(*arguments),
            ),
            presence=self.presence,
            pod=self.pod,
            clock=self.clock,
            ids=self.ids,
            auth_mode=self.auth_mode,
            authority=self.authority,
            cluster_id=self.cluster_id,
            traces=self.traces,
            direct=self.direct,
            analytics=self.analytics,
            records=self.records,
            feedback=self.feedback,
            handoffs=self.handoffs,
            drafts=self.drafts,
            channels=self.channels,
            plugins=self.plugins,
            openai=self.openai,
            breakers=self.breakers,
            tenants=self.tenants,
        )


def application() -> Flask:
    """Return an application for a real server; the third frame of its turns never comes.

    A reader gets two frames and then heartbeats, until it leaves.
    """
    cluster = FakeCluster()
    cluster.turns.pauses = {3: iter(_endless_heartbeats, object())}
    return create_app(cluster.services())


def _endless_heartbeats() -> None:
    time.sleep(0.05)
