"""A talk of two turns: the second is searched as it stands alone, by whoever executes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.knowledge import GenerationRef, Hit, Passage, SearchResult
from kotaemon_node.domain.session import SessionKey, SessionView, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.domain.words import telling_words
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.journal import ASKED
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.engine.understanding import Asked
from kotaemon_node.engine.understanding.asking import Adviser
from kotaemon_node.engine.understanding.expanding import Expanding
from kotaemon_node.engine.understanding.searching import searched
from kotaemon_node.ports.sessions import Lease, Work
from kotaemon_node.telemetry.metrics import Metrics
from tests.unit.test_understanding_advised import Model

TEXTS = (
    "Shipping to Germany takes three days.",
    "Shipping to Canada takes two weeks.",
    "The Canada goose is a bird.",
)
ASKED_BEFORE = "How long does shipping to Germany take?"


class Shop:
    """Knowledge that finds passages by the words they share with a question."""

    ref = GenerationRef("default", 7, "digest", "manifest")

    def __init__(self) -> None:
        self.searched: list[str] = []

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator["Shop"]:
        yield self

    def search(self, question: str, *, top_k: int, **_: Any) -> SearchResult:
        self.searched.append(question)
        asked = set(telling_words(question))
        hits = []
        for number, text in enumerate(TEXTS):
            share = len(asked & set(telling_words(text))) / len(asked)
            passage = Passage(
                id=f"p{number}", document="shop.md", revision="r", title="", heading=(),
                page=None, span=(0, len(text)), text=text, language="en",
            )  # fmt: skip
            hits.append(Hit(passage, share, share, share, share))
        hits.sort(key=lambda hit: -hit.score)
        return SearchResult("default", 7, "d", tuple(hits[:top_k]))


class Out:
    """What a turn writes, as far as these tests look at it."""

    def __init__(self, journal: dict[str, Any] | None = None) -> None:
        self.stop = Stop()
        self.journal = journal or {}
        self.notes: dict[str, Any] = {}
        self.phases: list[str] = []
        self.written = ""

    def decided(self, step: str) -> Any:
        return self.journal.get(step)

    def steps(self, prefix: str) -> list[tuple[str, Any]]:
        found = [it for it in self.journal.items() if it[0].startswith(prefix)]
        return [(step.removeprefix(prefix), said) for step, said in found]

    def decide(self, step: str, value: Any) -> None:
        self.journal[step] = value

    def status(self, phase: str, **_: Any) -> None:
        self.phases.append(phase)

    def text(self, piece: str) -> None:
        self.written += piece

    def source(self, docs: Any) -> None:
        """Nothing is looked at here."""

    def finish(self) -> None:
        """Nothing is looked at here."""


def work(message: str, *past: str) -> Work:
    turns = tuple(
        Turn(f"t{number}", said, State.DONE, answer="Three days. [1]")
        for number, said in enumerate(past)
    )
    session = SessionView("s", "e", len(turns), "h", 0.0, 0.0, turns)
    lease = Lease(TurnKey(SessionKey("default", "s"), "t9"), "e", 1, "a", "trace")
    return Work(lease, message, {}, session, attempts=1)


def answered(out: Out, said: Work, *, by: Any) -> Shop:
    shop = Shop()
    answerer = Answerer(
        shop,  # type: ignore[arg-type]
        language_model=None,
        clock=SystemClock(),
        metrics=Metrics(),
        understanding=by,
    )
    answerer.answer(said, out, started_s=0.0)  # type: ignore[arg-type]
    return shop


def advised(says: str) -> Expanding:
    return Expanding(Adviser(Model(says), clock=SystemClock(), tasks=ThreadTasks()))


def test_and_to_canada_finds_the_right_passage() -> None:
    out = Out()
    shop = answered(out, work("and to Canada?", ASKED_BEFORE), by=Expanding())
    assert shop.searched == ["How long does shipping to Canada take?"]
    assert out.written.startswith(TEXTS[1])
    assert out.journal[ASKED]["by"] == "rules"
    # Without a model it takes no time that anybody should be told of.
    assert "understanding" not in out.phases


def test_without_its_history_the_message_is_searched_as_it_is() -> None:
    # So it is when the talk lay idle: the work of a turn has only what still belongs to it.
    out = Out()
    shop = answered(out, work("and to Canada?"), by=Expanding())
    assert shop.searched == ["and to Canada?"]
    assert ASKED not in out.journal


def test_who_takes_the_turn_over_searches_for_what_was_understood_before() -> None:
    first = Out()
    said = work("and to Canada?", ASKED_BEFORE)
    by_model = advised("How long does shipping to Canada take, please?")
    assert answered(first, said, by=by_model).searched == [
        "How long does shipping to Canada take, please?"
    ]
    assert first.phases[0] == "understanding"
    after_loss = Out({ASKED: first.journal[ASKED]})
    another = advised("Does shipping to Germany take long?")
    shop = answered(after_loss, said, by=another)
    assert shop.searched == ["How long does shipping to Canada take, please?"]
    assert "understanding" not in after_loss.phases


def test_what_a_model_left_as_it_was_is_noted_as_well() -> None:
    out = Out()
    answered(out, work("and to Canada?", ASKED_BEFORE), by=advised("and to Canada?"))
    assert (out.journal[ASKED]["search"], out.journal[ASKED]["by"]) == ("and to Canada?", "model")


@pytest.mark.parametrize(
    ("parts", "ids"),
    [
        ((), ["p0", "p1", "p2"]),
        (("Canada goose",), ["p0", "p2", "p1"]),
        (("shipping to Germany",), ["p0", "p1", "p2"]),
    ],
)
def test_parts_are_searched_as_well_and_their_passages_come_in_turn(
    parts: tuple[str, ...], ids: list[str]
) -> None:
    shop = Shop()
    asked = Asked("?", "shipping to Germany", parts=parts)
    found = searched(asked, lambda text: shop.search(text, top_k=3), top_k=3)
    assert shop.searched == ["shipping to Germany", *parts]
    assert [hit.passage.id for hit in found.hits] == ids
