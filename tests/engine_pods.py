"""Pods of one process on a real Redis, for tests of the turn engine: threads do the tasks."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kotaemon_node.adapters.redis import (
    RedisFrameLog,
    RedisPresence,
    RedisSessionStore,
    RedisStreamsBus,
    connect,
    keys,
)
from kotaemon_node.adapters.redis.durability import Level
from kotaemon_node.adapters.system import RandomIds, ThreadTasks
from kotaemon_node.domain import limits
from kotaemon_node.domain.events import SESSION_UPDATED
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.domain.session import Principal, SessionKey, TurnKey, TurnRequest
from kotaemon_node.engine.answer_draft import Draft
from kotaemon_node.engine.owners import Owners
from kotaemon_node.engine.recovery import Recovery
from kotaemon_node.engine.turn_log import TurnLog
from kotaemon_node.engine.turns import TurnEngine
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.cipher import FieldCipher
from kotaemon_node.ports.events import Bus
from kotaemon_node.ports.knowledge import PodReport
from kotaemon_node.ports.peers import Peers, PeerSilent
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.traces import NO_TRACES, Traces
from kotaemon_node.telemetry.metrics import Metrics
from tests.redis_server import Server, ServerClock

ANYBODY = Principal("default", "anonymous", "open")
PIECES = ("Parcels ", "leave ", "within ", "two ", "days.")


class ScriptedAnswerer:
    """Writes ``PIECES``; ``gate`` is asked before each piece, and may block or raise."""

    def __init__(self, gate: Callable[[Work, int], None] | None = None) -> None:
        self._gate = gate or (lambda work, place: None)
        self.runs: list[str] = []

    def answer(self, work: Work, out: FrameWriter, *, started_s: float) -> Draft:
        self.runs.append(work.lease.key.turn_id)
        for place, piece in enumerate(PIECES):
            self._gate(work, place)
            out.text(piece)
        out.finish()
        return Draft(generations={"default": 7})


class AnyKnowledge:
    """Has every knowledge base; nothing is searched."""

    ref = GenerationRef("default", 7, "digest", "manifest")

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator[Any]:
        yield self


def trusts_the_store(owners: Owners) -> None:
    """Let it judge at once; the guard itself has its own test."""
    owners.store_answered()
    owners._answering_since_s = -2 * limits.POD_TTL_S


class SilentPeers:
    """Pods that can be judged by their heartbeats alone."""

    def incarnation_at(self, address: str) -> str:
        raise PeerSilent(address)

    def store_answers_at(self, address: str) -> bool:
        raise PeerSilent(address)


class TestPod:
    """One pod of the cluster under test."""

    __test__ = False

    def __init__(
        self,
        name: str,
        server: Server,
        gate: Callable[[Work, int], None] | None = None,
        *,
        peers: Peers | None = None,
        bus: Bus | None = None,
        durability: Level = "local",
        turn_log: TurnLog | None = None,
        traces: Traces = NO_TRACES,
        clock: ServerClock | None = None,
        cipher: FieldCipher | None = None,
        **engine: Any,
    ):
        """``engine``: what the turn engine is given besides."""
        self.name = name
        self.leaving = False
        self.metrics = Metrics()
        self.store = store = connect(
            server.url,
            cipher=cipher,
            durability=durability,
            answered=self.metrics.store_answered,
        )
        clock, tasks = clock or ServerClock(server), ThreadTasks()
        self.sessions = RedisSessionStore(
            store, ttl_s=3600, idle_s=1800, count_loss=self.metrics.session_gone
        )
        self.presence = RedisPresence(store, clock=clock)
        self.answerer = ScriptedAnswerer(gate)
        self.owners = Owners(
            mine=name, presence=self.presence, peers=peers or SilentPeers(), clock=clock
        )
        self.engine = TurnEngine(
            owner=name,
            sessions=self.sessions,
            frames=RedisFrameLog(store, clock=clock, tasks=tasks),
            bus=bus or RedisStreamsBus(store, clock=clock),
            knowledge=AnyKnowledge(),
            answerer=self.answerer,  # type: ignore[arg-type]
            clock=clock,
            ids=RandomIds(),
            tasks=tasks,
            metrics=self.metrics,
            owners=self.owners,
            draining=lambda: self.leaving,
            turn_log=turn_log,
            traces=traces,
            **engine,
        )
        self.recovery = Recovery(
            owner=name,
            sessions=self.sessions,
            owners=self.owners,
            engine=self.engine,
            draining=lambda: self.leaving,
            count_unsent=self.metrics.events_unsent,
        )
        self.engine.listen()

    def beats(self) -> None:
        """Be alive to the others, at an address of its own name."""
        report = PodReport(name=self.name, incarnation=self.name, address=self.name)
        self.presence.beat(report, ttl_s=600)

    def events(self) -> list[dict[str, Any]]:
        """Return the ``session_updated`` events sent so far by any pod."""
        stream = self.store.client.xrange(keys.bus(SESSION_UPDATED))
        return [json.loads(fields[b"v"]) for _, fields in stream]

    def judges(self) -> None:
        """Be alive to the others, and let it judge at once."""
        self.beats()
        trusts_the_store(self.owners)

    def submit(self, turn_id: str, *, message: str = "when?", on_busy: str = "enqueue"):
        return self.engine.submit(
            TurnRequest(
                key=key(turn_id),
                principal=ANYBODY,
                message=message,
                options={},
                on_busy=on_busy,  # type: ignore[arg-type]
                trace_id=f"trace-{turn_id}",
                create_session=True,
            )
        )

    def until_idle(self) -> None:
        """Wait until nothing of a finished turn is kept in memory, and its event is sent."""
        self.until(lambda: self.engine.quiet)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds."""
        pause = threading.Event()
        for _ in range(6_000):
            if condition():
                return
            pause.wait(0.01)
        raise AssertionError(f"{self.name} still waits")

    def until_shown(self, turn_id: str, text: str) -> None:
        """Wait until the text of the frames that are stored is this."""
        shown: list[Frame] = []
        for frame in self.engine.follow(key(turn_id), ANYBODY, after=0):
            if frame is not None:
                shown.append(frame)
            if text_of(shown) == text:
                return

    def frames(self, turn_id: str, *, after: int = 0) -> list[Frame]:
        followed = self.engine.follow(key(turn_id), ANYBODY, after=after)
        return [frame for frame in followed if frame is not None]


def key(turn_id: str) -> TurnKey:
    return TurnKey(SessionKey("default", "s1"), turn_id)


def text_of(frames: list[Frame]) -> str:
    pieces: list[str] = []
    for frame in frames:
        if frame.type == "restart":
            pieces.clear()
        if frame.type == "text":
            assert frame.fields["offset"] == len("".join(pieces))
            pieces.append(frame.fields["content"])
    return "".join(pieces)


class Stall:
    """Holds a turn before a piece until released, as a dead or silent pod would."""

    def __init__(self, place: int) -> None:
        self._place = place
        self.reached = threading.Event()
        self.go = threading.Event()

    def __call__(self, work: Work, place: int) -> None:
        if place == self._place:
            self.reached.set()
            assert self.go.wait(120)
