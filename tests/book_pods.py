"""Pods that keep books of their turns, on a real Redis, answering from a shelf of two documents."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kotaemon_node.adapters.redis import RedisAnalytics, RedisFeedback, RedisTurnRecords
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain.knowledge import BOTH_LEGS, GenerationRef, Hit, Leg, Passage, SearchResult
from kotaemon_node.domain.session import SessionKey, Turn, TurnKey, TurnRequest
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.counting import Tallying
from kotaemon_node.engine.finding import Reranks
from kotaemon_node.engine.profile import ProfileOf, always_default
from kotaemon_node.engine.rating import Ratings
from kotaemon_node.engine.record import Recorder
from kotaemon_node.ports.language_model import ChatMessage, LanguageModel, Usage
from kotaemon_node.ports.turn_records import TurnRecords
from tests.engine_pods import ANYBODY, TestPod
from tests.redis_server import Server, ServerClock

TEXTS = {
    "parcels.md": "Parcels\n\nA parcel leaves the warehouse within two days. It has 30 kg at most.",
    "lamps.md": "Lamps\n\nThe warranty on lamps is three years. Bulbs have no warranty.",
    "sofas.md": "Sofas\n\nSofas are delivered by lorry within four weeks.",
}
STARTS = {"parcels.md": 9, "lamps.md": 7, "sofas.md": 7}
KNOWN = "How soon does a parcel leave the warehouse?"
UNKNOWN = "Who won the football cup?"


class Shelf:
    """Finds the documents in their order; those of an unknown question are far from it."""

    def __init__(self) -> None:
        self.searched: list[tuple[str, int, frozenset[Leg]]] = []
        self.hold: Callable[[], None] = lambda: None

    ref = GenerationRef("default", 7, "digest-7", "m")

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator["Shelf"]:
        yield self

    def search(
        self, question: str, *, top_k: int, legs: frozenset[Leg] = BOTH_LEGS, **_: Any
    ) -> SearchResult:
        self.searched.append((question, top_k, legs))
        near = 0.61234567 if "parcel" in question.lower() else 0.01
        hits = tuple(
            Hit(passage_of(name), 1 / (n + 60.3), near / n, 1.7 / n, near / n, contrast=near / n)
            for n, name in enumerate(TEXTS, start=1)
        )
        return SearchResult("default", 7, "digest-7", hits[:top_k])


def passage_of(name: str) -> Passage:
    """Return the one passage of a document."""
    start, end = STARTS[name], len(TEXTS[name])
    return Passage(
        id=f"{name}-{start}-{end}", document=name, revision=f"r-{name}",
        title=TEXTS[name].partition("\n")[0], heading=(), page=None, span=(start, end),
        text=TEXTS[name][start:end], language="en",
    )  # fmt: skip


def opened(passage: Mapping[str, Any]) -> str:
    """Return what the source route shows of a passage between the ends of its span."""
    start, end = passage["span"]
    return TEXTS[passage["document"]][start:end]


class Saying:
    """A language model that says its pieces, or fails where it has none."""

    name = "saying"
    continues_prefix = False

    def __init__(self, *pieces: str) -> None:
        self._pieces = pieces

    def stream(self, messages: Sequence[ChatMessage], *, usage: Usage, **_: Any) -> Iterator[str]:
        if not self._pieces:
            raise RuntimeError("a bug")
        yield from self._pieces
        usage.prompt_tokens, usage.completion_tokens = 30, len(self._pieces)


class BookPod(TestPod):
    """A pod with books; ``records`` stands in for Redis where it is given."""

    def __init__(
        self,
        name: str,
        server: Server,
        *,
        profile_of: ProfileOf = always_default,
        model: LanguageModel | None = None,
        records: TurnRecords | None = None,
        reranking: Reranks | None = None,
        **engine: Any,
    ) -> None:
        super().__init__(
            name,
            server,
            profile_of=profile_of,
            record=lambda ended: self.recorder(ended),  # noqa: PLW0108 - made below
            tally=_Late(self),
            **engine,
        )
        self.analytics = RedisAnalytics(self.store)
        self.records = records or RedisTurnRecords(self.store, kept_s=3600)
        self.tally = Tallying(self.analytics, with_questions=True, count=self.metrics.analytics)
        self.ratings = Ratings(
            RedisFeedback(self.store), tally=self.tally, count=self.metrics.feedback
        )
        self.recorder = Recorder(
            self.records,
            clock=ServerClock(server),
            tasks=ThreadTasks(),
            versions={"kotaemon": "0"},
            count=self.metrics.audit_record,
        )
        self.shelf = Shelf()
        self.answerer.answer = Answerer(  # type: ignore[method-assign]
            self.shelf,
            language_model=model,
            clock=ServerClock(server),
            metrics=self.metrics,
            profile_of=profile_of,
            reranking=reranking,
        ).answer

    def begin(self, session: str, turn: str, message: str, *, trace_id: str = "") -> TurnKey:
        """Have a turn accepted."""
        key = TurnKey(SessionKey("default", session), turn)
        self.engine.submit(
            TurnRequest(
                key=key, principal=ANYBODY, message=message, options={}, on_busy="enqueue",
                trace_id=trace_id or f"trace-{session}-{turn}", create_session=True,
            )
        )  # fmt: skip
        return key

    def ask(self, session: str, turn: str, message: str, *, trace_id: str = "") -> Turn:
        """Return the finished turn, when its events are out and it is counted."""
        key = self.begin(session, turn, message, trace_id=trace_id)
        done = self.engine.wait(key, ANYBODY, timeout_s=60)
        assert done is not None
        self.until_idle()
        return done

    def record(self, trace_id: str) -> Mapping[str, Any]:
        """Return the newest record of a trace."""
        return self.found(trace_id)[0]

    def found(self, trace_id: str) -> Sequence[Mapping[str, Any]]:
        """Return all records of a trace."""
        return self.records.find("default", trace_id)


class _Late:
    """The pod's ``tally``, which is made after its engine."""

    def __init__(self, pod: BookPod) -> None:
        self._pod = pod

    def turn(self, *arguments: Any, **options: Any) -> bool:
        return self._pod.tally.turn(*arguments, **options)
