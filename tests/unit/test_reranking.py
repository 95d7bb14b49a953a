"""The best passages in a model's order, and as they were found where the model gives none."""

from collections.abc import Callable, Sequence

from kotaemon_node.domain.knowledge import BOTH_LEGS, Hit, Leg, Passage, SearchResult
from kotaemon_node.domain.limits import RERANK_HITS, RERANK_PAUSE_S
from kotaemon_node.ports.reranker import RerankerFailed
from kotaemon_node.retrieval.reranking import Outcome, Reranking
from tests.fakes.knowledge_ports import HandClock


class ByLength:
    """The longer a passage, the better it fits; ``away`` gives no scores."""

    name = "by-length"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.away = False

    def scores(self, question: str, passages: Sequence[str]) -> Sequence[float]:
        self.asked.append(list(passages))
        if self.away:
            raise RerankerFailed("away")
        return [float(len(passage)) for passage in passages]


class Found:
    """Finds ``texts``, in this order."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.legs: frozenset[Leg] = frozenset()

    def search(
        self, question: str, *, top_k: int, legs: frozenset[Leg] = BOTH_LEGS
    ) -> SearchResult:
        self.legs = legs
        return SearchResult("kb", 1, "digest", tuple(map(hit, self.texts[:top_k])))


def hit(text: str) -> Hit:
    passage = Passage(text, "d.md", "0" * 64, "Title", ("Head",), None, (0, 1), text, "en")
    return Hit(passage, score=0.5, dense=0.1, lexical=1.0, coverage=0.2)


def reranking(
    model: ByLength,
    *,
    clock: HandClock | None = None,
    count: Callable[[Outcome, float], None] = lambda *_: None,
) -> Reranking:
    return Reranking(model, clock=clock or HandClock(), count=count)


def texts(found: SearchResult) -> list[str]:
    return [it.passage.text for it in found.hits]


def test_passages_come_in_the_order_of_the_models_scores() -> None:
    model, found = ByLength(), Found("a", "ccc", "bb")
    result = reranking(model).best(found, "q", top_k=2, legs=frozenset({"dense"}))
    assert texts(result) == ["ccc", "bb"]
    assert result.reranker == "by-length"
    assert [it.rerank for it in result.hits] == [float(len("Title\nHead\nccc")), 13.0]
    # How it was found is still told.
    assert {it.score for it in result.hits} == {0.5}
    assert model.asked == [["Title\nHead\na", "Title\nHead\nccc", "Title\nHead\nbb"]]
    assert found.legs == {"dense"}


def test_equal_scores_keep_the_order_of_the_search() -> None:
    assert texts(reranking(ByLength()).best(Found("b", "a", "c"), "q", top_k=9)) == ["b", "a", "c"]


def test_only_the_best_are_read_again_and_more_is_found_than_is_asked_for() -> None:
    model = ByLength()
    many = ["x" * (1 + at) for at in range(RERANK_HITS + 2)]
    result = reranking(model).best(Found(*many), "q", top_k=RERANK_HITS + 2)
    assert texts(result) == [*reversed(many[:RERANK_HITS]), *many[RERANK_HITS:]]
    assert texts(reranking(model).best(Found(*many), "q", top_k=1)) == [many[RERANK_HITS - 1]]
    assert [len(asked) for asked in model.asked] == [RERANK_HITS, RERANK_HITS]


def test_a_model_that_fails_costs_no_result_and_is_left_alone_for_a_while() -> None:
    model, clock = ByLength(), HandClock()
    counted: list[str] = []
    begun: list[int] = []
    ours = reranking(model, clock=clock, count=lambda outcome, _: counted.append(outcome))

    def ask() -> SearchResult:
        return ours.best(Found("a", "bb", "c"), "q", top_k=2, begins=lambda: begun.append(1))

    model.away = True
    assert texts(ask()) == ["a", "bb"]
    model.away = False
    assert (texts(ask()), ask().reranker) == (["a", "bb"], "")
    clock.sleep(RERANK_PAUSE_S)
    assert texts(ask()) == ["bb", "a"]
    assert counted == ["failed", "skipped", "skipped", "reranked"]
    assert len(model.asked) == len(begun) == 2


def test_nothing_found_asks_nobody() -> None:
    model = ByLength()
    assert reranking(model).best(Found(), "q", top_k=4).hits == ()
    assert model.asked == []
