"""Pods that share hot answers, on a real Redis: each counts what it makes itself."""

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kotaemon_node.adapters.redis import RedisFrameLog, RedisHotAnswers
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.knowledge import (
    BOTH_LEGS,
    GenerationRef,
    Hit,
    Leg,
    Passage,
    SearchResult,
)
from kotaemon_node.domain.session import SessionKey, TurnKey, TurnRequest
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.joining import Joining
from kotaemon_node.engine.remembering import Remembering
from kotaemon_node.engine.similar import SimilarQuestions
from kotaemon_node.ports.hot_answers import HotAnswers
from kotaemon_node.ports.language_model import ChatMessage, LanguageModel, Usage
from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.tools import Toolbox
from tests.engine_pods import ANYBODY, TestPod
from tests.redis_server import Server, ServerClock

PATIENT_S = 60.0
_numbers = itertools.count()


class Numbered:
    """Knowledge of one passage, which names the generation; ``number`` may be raised."""

    def __init__(self, number: int = 7) -> None:
        self.number = number
        self.digest = ""
        self.words_alone = False
        self.kind: Any = "text"
        self.text = ""
        self.close = 0.95
        """Cosine of any two questions."""
        self.searched: list[str] = []
        self.hold: Callable[[], None] = lambda: None
        """Is called by each search before it finds anything."""
        self.swaps_before_search = 0

    @property
    def ref(self) -> GenerationRef:
        return GenerationRef("default", self.number, self.digest or f"digest-{self.number}", "m")

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator["Numbered"]:
        yield self

    def closeness(self, one: str, other: str) -> float:
        return self.close

    def search(
        self, question: str, *, top_k: int, legs: frozenset[Leg] = BOTH_LEGS
    ) -> SearchResult:
        self.searched.append(question)
        self.number += self.swaps_before_search
        self.hold()
        text = self.text or f"A parcel leaves within {self.number} days."
        passage = Passage(
            id=f"p{self.number}", document="parcels.md", revision="r", title="Parcels", heading=(),
            page=None, span=(0, len(text)), text=text, language="en", kind=self.kind,
        )  # fmt: skip
        ref = self.ref
        hit = Hit(passage, 1.0, 0.9, 1.0, 0.9, contrast=0.9)
        return SearchResult(
            ref.kb, ref.generation, ref.digest, (hit,), words_alone=self.words_alone
        )


class Saying:
    """A language model that says ``pieces``; ``gate`` is asked before each and may block."""

    name = "saying"
    continues_prefix = False

    def __init__(self, pieces: Sequence[str], gate: Callable[[int], None] = lambda _: None) -> None:
        self.pieces = pieces
        self.gate = gate
        self.asked = 0

    def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        prefix: str,
        usage: Usage,
        stop: StopSignal,
        tools: Sequence[Any] = (),
        **_: Any,
    ) -> Iterator[Any]:
        self.asked += 1
        for place, piece in enumerate(self.pieces):
            self.gate(place)
            yield piece
        usage.prompt_tokens, usage.completion_tokens = 30, len(self.pieces)


class Gate:
    """Holds whoever comes to a place until released."""

    def __init__(self, place: int = 0) -> None:
        self._place = place
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, place: int = 0) -> None:
        if place == self._place:
            self.reached.set()
            assert self.go.wait(PATIENT_S)


class HotPod(TestPod):
    """A pod whose answers are shared."""

    def __init__(
        self,
        name: str,
        server: Server,
        *,
        model: LanguageModel | None = None,
        knowledge: Numbered | None = None,
        toolbox: Toolbox | None = None,
        answers: HotAnswers | None = None,
        programs: str = "v1",
        scope_of: Callable[[Work], str] = lambda _: "",
        follow_s: float = PATIENT_S,
        look_s: float = PATIENT_S,
        ttl_s: int = 600,
        similar: SimilarQuestions | None = None,
    ) -> None:
        # What a pod of an earlier test still writes must not be taken for this one's.
        super().__init__(f"{name}-{next(_numbers)}", server)
        self.knowledge = knowledge or Numbered()
        clock, tasks = ServerClock(server), ThreadTasks()
        self.hot = answers or RedisHotAnswers(self.store, ttl_s=ttl_s)
        frames = RedisFrameLog(self.store, clock=clock, tasks=tasks)
        # The engine is as it is anywhere; only what answers is real here.
        self.answerer.answer = Answerer(  # type: ignore[method-assign]
            self.knowledge,
            language_model=model,
            clock=clock,
            metrics=self.metrics,
            toolbox=toolbox,
            remembering=Remembering(
                self.hot,
                joining=Joining(frames, patience_s=follow_s),
                clock=clock,
                tasks=tasks,
                metrics=self.metrics,
                # A turn that an earlier test left may still keep its answer: under another name.
                programs=f"{programs} {os.environ.get('PYTEST_CURRENT_TEST', '')}",
                scope_of=scope_of,
                look_s=look_s,
                similar=similar,
            ),
        ).answer

    def asks(
        self, session: str, message: str, *, turn: str = "t1", options: Mapping[str, Any] = {}
    ) -> TurnKey:
        """Post a message, in a session that is made if need be; return the turn's key."""
        key = TurnKey(SessionKey("default", session), turn)
        self.engine.submit(
            TurnRequest(
                key=key,
                principal=ANYBODY,
                message=message,
                options=options,
                on_busy="enqueue",
                trace_id=f"trace-{session}-{turn}",
                create_session=True,
            )
        )
        return key

    def ends(self, key: TurnKey) -> list[Frame]:
        """Return the frames of a turn to its end; what was kept of it is kept by then."""
        followed = self.engine.follow(key, ANYBODY, after=0)
        return [frame for frame in followed if frame is not None]

    def answers(self, session: str, message: str, *, turn: str = "t1") -> list[Frame]:
        """Ask and wait; an answer that is to be kept is kept by then."""
        before = self.count("made")
        frames = self.ends(self.asks(session, message, turn=turn))
        if self.count("made") > before:
            self.until(lambda: self.kept() > 0)
        return frames

    def kept(self) -> int:
        """Return how many answers the store has."""
        names = self.store.client.keys("kn:answer:*")
        values = [self.store.client.get(name) for name in names if name.count(b":") == 3]
        return sum(1 for value in values if value and value.startswith(b"A"))

    def count(self, result: str) -> float:
        """Return what the metric counts."""
        labels = {"result": result}
        return self.metrics.registry.get_sample_value("kotaemon_answer_cache_total", labels) or 0.0


def cached(frames: Sequence[Frame]) -> bool:
    """Tell what the terminal frame says."""
    assert frames[-1].type == "done"
    return bool(frames[-1].fields["cached"])


def docs_of(frames: Sequence[Frame]) -> list[Any]:
    """Return the documents of the newest ``source`` frame."""
    shown = [frame for frame in frames if frame.type == "source"]
    return list(shown[-1].fields["docs"]) if shown else []
