"""A turn that an entry answers: no model is asked, and the turn says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kotaemon_node.adapters.system.clock import SystemClock
from kotaemon_node.domain.errors import LanguageModelError
from kotaemon_node.domain.knowledge import BOTH_LEGS, GenerationRef, Hit, Leg, SearchResult
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.telemetry.metrics import Metrics
from tests.unit.test_engine_understanding import Out, work
from tests.unit.test_extractive_answer import hit

ENTRY = hit("How do I return an item?\nSend it back.\n\nWithin 30 days.", kind="faq")
TEXT = hit("An item that comes back is returned to its shelf. How do I return an item?")


class Shelf:
    """Knowledge that finds these passages whatever is asked."""

    ref = GenerationRef("default", 7, "digest", "manifest")

    def __init__(self, *hits: Hit) -> None:
        self._hits = hits

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator["Shelf"]:
        yield self

    def search(
        self, question: str, *, top_k: int, legs: frozenset[Leg] = BOTH_LEGS
    ) -> SearchResult:
        return SearchResult("default", 7, "digest", self._hits)


class Shown(Out):
    """What is shown and journalled; it may begin anew."""

    def restart(self) -> None:
        self.written = ""


class Away:
    """A language model that is away, and counts who asked."""

    name = "away"

    def __init__(self) -> None:
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        raise LanguageModelError("the language model is away")


def turn(message: str, *hits: Hit) -> tuple[Shown, Any, Away]:
    out, model = Shown(), Away()
    shown: Any = out
    asked: Any = model
    answerer = Answerer(Shelf(*hits), language_model=asked, clock=SystemClock(), metrics=Metrics())
    draft = answerer.answer(work(message), shown, started_s=0.0)
    return out, draft, model


def test_an_entry_answers_while_the_model_is_away() -> None:
    out, draft, model = turn("please, how to return my item?", TEXT, ENTRY)
    assert out.written == "Send it back.\n\nWithin 30 days. [1]"
    assert (model.asked, draft.degraded, draft.unanswered) == (0, None, None)
    assert draft.record["faq"] == {"document": "d.md", "passage": "id-d.md", "match": "near"}
    assert out.phases == ["retrieval", "faq"]


def test_another_question_goes_to_the_model() -> None:
    _, draft, model = turn("Why can I not return an item?", TEXT, ENTRY)
    assert model.asked > 0
    assert draft.degraded == "language_model_failed"
    assert "faq" not in draft.record
