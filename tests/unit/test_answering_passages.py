"""What a turn is answered from: what is not clearly weaker than the best; a reranker's order."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from kotaemon_node.domain.knowledge import BOTH_LEGS, GenerationRef, Hit, Leg, Passage, SearchResult
from kotaemon_node.engine.answer_draft import Answering, Draft
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.finding import Reranks
from kotaemon_node.engine.journal import RETRIEVAL, retrieval_from_json
from kotaemon_node.engine.profile import DEFAULT_PROFILE
from kotaemon_node.engine.understanding import Asked
from kotaemon_node.ports.reranker import RerankerFailed
from kotaemon_node.retrieval.reranking import Reranking
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.knowledge_ports import HandClock


class Five:
    """Knowledge of five passages, whose scores are ``scores``."""

    def __init__(self, scores: Sequence[float]) -> None:
        self.scores = scores

    ref = GenerationRef("default", 7, "digest", "manifest")

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator["Five"]:
        yield self

    def search(
        self, question: str, *, top_k: int, legs: frozenset[Leg] = BOTH_LEGS
    ) -> SearchResult:
        return SearchResult("default", 7, "digest", tuple(map(hit, "abcde"[:top_k], self.scores)))


class Backwards:
    """A reranker to which the last is the best; ``away`` gives no scores."""

    name = "backwards"
    away = False

    def scores(self, question: str, passages: Sequence[str]) -> Sequence[float]:
        if self.away:
            raise RerankerFailed("away")
        return [float(place) for place in range(len(passages))]


class Out:
    """Notes what is shown and journalled."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.journal: dict[str, Any] = {}

    def status(self, phase: str, *, latency_s: float) -> None:
        self.phases.append(phase)

    def decided(self, step: str) -> Any:
        return self.journal.get(step)

    def decide(self, step: str, said: Mapping[str, Any]) -> None:
        self.journal[step] = said


def hit(text: str, score: float) -> Hit:
    passage = Passage(text, "d.md", "0" * 64, "Title", (), None, (0, 1), text, "en")
    return Hit(passage, score=score, dense=0.6, lexical=1.0, coverage=0.6, contrast=0.6)


def found(
    out: Out, reranking: Reranks | None = None, scores: Sequence[float] = (0.5,) * 5
) -> SearchResult:
    clock = HandClock()
    answerer = Answerer(
        Five(scores), language_model=None, clock=clock, metrics=Metrics(), reranking=reranking
    )
    session = SimpleNamespace(generations={}, turns=())
    key = SimpleNamespace(session=SimpleNamespace(tenant="default"))
    work: Any = SimpleNamespace(options={}, session=session, lease=SimpleNamespace(key=key))
    shown: Any = out
    turn = Answering(work, shown, DEFAULT_PROFILE, Asked("q", "q"), Draft(), 0.0, clock)
    return answerer._finding.found(turn)


def texts(result: SearchResult) -> list[str]:
    return [it.passage.text for it in result.hits]


def test_without_a_reranker_passages_stay_as_they_were_found() -> None:
    out = Out()
    assert texts(found(out)) == ["a", "b", "c", "d"]
    assert out.phases == ["retrieval"]


def test_a_reranker_chooses_among_more_and_the_turn_shows_it() -> None:
    out = Out()
    result = found(out, Reranking(Backwards(), clock=HandClock()))
    assert texts(result) == ["e", "d", "c", "b"]
    assert out.phases == ["retrieval", "rerank"]
    # A takeover and the record of the turn have order, scores and the model's name.
    assert retrieval_from_json(out.journal[RETRIEVAL]) == result
    assert (result.reranker, result.hits[0].rerank) == ("backwards", 4.0)
    assert found(out) == result


def test_a_reranker_that_is_away_costs_no_passage() -> None:
    model = Backwards()
    model.away = True
    result = found(Out(), Reranking(model, clock=HandClock()))
    assert (texts(result), result.reranker) == (["a", "b", "c", "d"], "")


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ((1.0, 0.5, 0.4, 0.39, 0.1), "abc"),
        ((0.8, 0.2, 0.2, 0.2, 0.2), "a"),
        ((0.2, 0.2, 0.2, 0.2, 0.2), "abcd"),
        # Where nothing is near the best is not, either: what is found is judged as a whole.
        ((-0.1, -0.2, -0.3, -0.4, -0.5), "abcd"),
    ],
)
def test_what_is_clearly_weaker_than_the_best_answers_nothing(
    scores: Sequence[float], kept: str
) -> None:
    out = Out()
    assert texts(found(out, scores=scores)) == list(kept)
    assert len(out.journal[RETRIEVAL]["hits"]) == len(kept)


def test_a_rerankers_order_stays_whole() -> None:
    reranking = Reranking(Backwards(), clock=HandClock())
    assert texts(found(Out(), reranking, (0.9, 0.1, 0.1, 0.1, 0.1))) == ["e", "d", "c", "b"]


def test_while_a_reranker_is_away_the_bar_is_as_without() -> None:
    model = Backwards()
    model.away = True
    reranking = Reranking(model, clock=HandClock())
    assert texts(found(Out(), reranking, (0.9, 0.1, 0.1, 0.1, 0.1))) == ["a"]
