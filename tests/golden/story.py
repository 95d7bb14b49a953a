"""A story of one session, told as what a follower sees; see ``test_transcripts``."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from kotaemon_node.adapters.redis import RedisFrameLog, RedisSessionStore, RedisStore
from kotaemon_node.adapters.system import RandomIds, ThreadTasks
from kotaemon_node.domain.errors import LanguageModelError, NodeError
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.knowledge import GenerationRef, Hit, Passage, SearchResult
from kotaemon_node.domain.session import OnBusy, Principal, SessionKey, TurnKey, TurnRequest
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.turns import TurnEngine
from kotaemon_node.ports.events import Message
from kotaemon_node.ports.language_model import NO_SAMPLING, ChatMessage, Usage
from kotaemon_node.ports.runtime import Clock, StopSignal
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.stage import Stage
from tests.redis_server import RedisServer, ServerClock

ANYBODY = Principal("default", "anonymous", "open")
SESSION = SessionKey("default", "story")
FOR_EVER_S = 1e9
Script = Sequence[tuple[float, str]]
"""Pieces, and the seconds before each."""


class ScriptedModel:
    """``ports.language_model.LanguageModel`` that says ``script``; ``then`` is how it ends."""

    name = "scripted"

    def __init__(
        self, stage: Stage, script: Script, *, continues: bool = True, then: str = "end"
    ) -> None:
        """``then``: ``end``, ``fall silent`` or ``fail``."""
        self._stage = stage
        self._script = script
        self._then = then
        self.continues_prefix = continues

    def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        prefix: str,
        usage: Usage,
        stop: StopSignal,
        tools: Sequence[Any] = (),
        sampling: Mapping[str, float] = NO_SAMPLING,
    ) -> Iterator[str]:
        stopped = threading.Event()
        behind = len(prefix)
        with stop.breaking_off(stopped.set):
            for pause_s, piece in self._script:
                if behind >= len(piece):
                    behind -= len(piece)
                    continue
                if self._stage.wait(stopped, pause_s):
                    return
                yield piece[behind:]
                behind = 0
            if self._then == "fail":
                raise LanguageModelError("the model is gone")
            if self._then == "fall silent":
                self._stage.wait(stopped, FOR_EVER_S)


class TwoPassages:
    """Knowledge that always finds the same."""

    ref = GenerationRef("default", 7, "digest", "manifest")

    def pinned(self, kb: str, *, min_generation: int = 0) -> AbstractContextManager[Any]:
        return nullcontext(self)

    def search(self, question: str, *, top_k: int, **_: object) -> SearchResult:
        texts = {
            "lamps.md": "Delivery of a lamp takes two to three days. Lamps come by parcel.",
            "sofas.md": "Sofas are delivered by lorry within four weeks.",
        }
        hits = tuple(_hit(document, text) for document, text in texts.items())
        return SearchResult("default", 7, "digest", hits)


def _hit(document: str, text: str) -> Hit:
    passage = Passage(
        id=f"id-{document}",
        document=document,
        revision="r1",
        title=document,
        heading=(),
        page=None,
        span=(0, len(text)),
        text=text,
        language="en",
    )
    return Hit(passage, score=0.03, dense=0.6, lexical=1.0, coverage=0.6, contrast=0.6)


class Silent:
    """A bus that nobody hears, and owners that nobody doubts: the story says who is lost."""

    def publish(self, message: Message) -> None:
        pass

    def lost(self, owner: str) -> bool:
        return False


class _DiesThere:
    """The store of a pod that dies at its first commit."""

    def __init__(self, story: "Story") -> None:
        self._story = story

    def __getattr__(self, name: str) -> Any:
        return getattr(self._story.sessions, name)

    def commit(self, *_: Any, **__: Any) -> None:
        self._story.stage.sleep(FOR_EVER_S)


class Story:
    """Pods on one stage, and the transcript of what their followers see."""

    def __init__(self, server: RedisServer, store: RedisStore, *, title: str) -> None:
        self.stage = Stage()
        self.lines = [f"# {title}", ""]
        self.leaving: set[str] = set()
        self.sessions = RedisSessionStore(store, ttl_s=3600, idle_s=1800)
        clock: Clock = ServerClock(server)
        self._frames = RedisFrameLog(store, clock=clock, tasks=ThreadTasks())
        self._seen: dict[str, int] = {}

    def pod(
        self, name: str, model: ScriptedModel | None = None, *, commits: bool = True
    ) -> TurnEngine:
        """Start a pod; without ``model`` it answers from the passages alone.

        One that does not commit dies at the moment before.
        """
        metrics = Metrics()
        knowledge = TwoPassages()
        return TurnEngine(
            owner=name,
            sessions=self.sessions if commits else cast("Any", _DiesThere(self)),
            frames=self._frames,
            bus=cast("Any", Silent()),
            knowledge=knowledge,
            answerer=Answerer(knowledge, language_model=model, clock=self.stage, metrics=metrics),
            clock=self.stage,
            ids=RandomIds(),
            tasks=self.stage,
            metrics=metrics,
            owners=cast("Any", Silent()),
            draining=lambda: name in self.leaving,
        )

    def model(self, *script: tuple[float, str], **how: Any) -> ScriptedModel:
        """Make a model on this stage."""
        return ScriptedModel(self.stage, script, **how)

    def ask(self, pod: TurnEngine, turn_id: str = "t1", *, on_busy: OnBusy = "enqueue") -> None:
        """Send a message."""
        self._seen[turn_id] = 0
        outcome = pod.submit(
            TurnRequest(
                key=key(turn_id),
                principal=ANYBODY,
                message="How long does the delivery of a lamp take?",
                options={},
                on_busy=on_busy,
                trace_id=f"trace-{turn_id}",
                create_session=True,
            )
        )
        self.note(f"{turn_id} is asked: {outcome.value}")

    def play(self, until_s: float) -> None:
        """Go on to this moment."""
        self.stage.play(until_s, look=self._look)

    def note(self, text: str) -> None:
        """Write what happens from outside."""
        self._look()
        self.lines.append(f"{self.stage.monotonic_s():8.3f}  -- {text}")

    def end(self, reader: TurnEngine) -> str:
        """Read all turns once more from the beginning, and return the transcript."""
        self._look()
        self.lines.append("")
        for turn_id, seen in self._seen.items():
            self.lines.append(f"{turn_id}, read again: {self._read_again(reader, turn_id, seen)}")
        self.stage.close()
        return "\n".join(self.lines) + "\n"

    def _look(self) -> None:
        for turn_id, seen in self._seen.items():
            stored = self._frames.read(key(turn_id), after=seen, limit=1_000, trace_id="")
            for frame in stored.frames:
                self.lines.append(
                    f"{self.stage.monotonic_s():8.3f}  {turn_id} {frame.seq:3d} {_shown(frame)}"
                )
                self._seen[turn_id] = frame.seq or 0

    def _read_again(self, reader: TurnEngine, turn_id: str, seen: int) -> str:
        try:
            frames = [
                frame
                for frame in reader.follow(key(turn_id), ANYBODY, after=0)
                if frame is not None
            ]
        except NodeError as error:
            return error.code
        assert [frame.seq for frame in frames] == list(range(1, seen + 1))
        turn = self.sessions.turn(key(turn_id), ANYBODY)
        # What a client puts together is the committed answer.
        assert _assembled(frames) == turn.answer
        return f"version {turn.version}, attempt {turn.attempts} by {turn.owner}, {turn.answer!r}"


def key(turn_id: str) -> TurnKey:
    return TurnKey(SESSION, turn_id)


def _assembled(frames: Sequence[Frame]) -> str:
    text = ""
    for frame in frames:
        if frame.type == "restart":
            text = ""
        if frame.type == "text":
            assert frame.fields["offset"] == len(text)
            text += frame.fields["content"]
    return text


_SHOWN: dict[str, Callable[[Any], str]] = {
    "status": lambda fields: fields["phase"],
    "source": lambda fields: " ".join(f"[{doc['n']}] {doc['title']}" for doc in fields["docs"]),
    "text": lambda fields: f"@{fields['offset']} {fields['content']!r}",
    "restart": lambda fields: "",
    "error": lambda fields: fields["code"],
    "done": lambda fields: " ".join(
        [fields["state"], *([f"degraded={fields['degraded']}"] if fields["degraded"] else [])]
    ),
}


def _shown(frame: Frame) -> str:
    return f"{frame.type:8} {_SHOWN[frame.type](frame.fields)}".rstrip()
