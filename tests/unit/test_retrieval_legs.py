"""What one leg of a search finds alone: for measures, so that it must not be a little of both."""

from pathlib import Path

from kotaemon_node.ports.encoder import EncoderUnavailable
from kotaemon_node.retrieval.dense import EncodedQuestion
from kotaemon_node.retrieval.searcher import Searcher
from tests.fakes.knowledge import searcher_of

DOCUMENTS = {
    "returns": "Goods may be returned within thirty days.",
    "shipping": "Shipping of goods takes three days.",
    "warranty": "The warranty of a kettle lasts two years.",
    "zh": "商品可以在三十天内退货。",
}


def test_the_lexical_leg_alone_knows_no_vectors(tmp_path: Path) -> None:
    hits = (
        searcher_of(tmp_path, DOCUMENTS).search("shipping goods", legs=frozenset({"lexical"})).hits
    )
    assert [hit.passage.document for hit in hits] == ["shipping", "returns"]
    assert [hit.lexical for hit in hits] == sorted((hit.lexical for hit in hits), reverse=True)
    assert all(hit.dense is None for hit in hits)


def test_the_dense_leg_alone_orders_by_closeness_in_any_language(tmp_path: Path) -> None:
    found = searcher_of(tmp_path, DOCUMENTS)
    hits = found.search("shipping goods", legs=frozenset({"dense"})).hits
    closeness = [hit.dense or 0.0 for hit in hits]
    assert len(hits) == len(DOCUMENTS)
    # The Chinese one gets no bonus for the leg that is not there.
    assert closeness == sorted(closeness, reverse=True)


def test_both_legs_are_what_users_get(tmp_path: Path) -> None:
    found = searcher_of(tmp_path, DOCUMENTS)
    both = found.search("shipping goods", legs=frozenset({"dense", "lexical"}))
    assert both == found.search("shipping goods")


def test_while_the_encoder_is_away_words_alone_find(tmp_path: Path) -> None:
    def away(_question: str) -> EncodedQuestion:
        raise EncoderUnavailable("the encoder's server failed a moment ago")

    here = searcher_of(tmp_path, DOCUMENTS)
    found = Searcher(
        here._generation, encode=away, compute=lambda work, *given: work(*given), background={}
    )

    result = found.search("shipping goods")

    assert result.words_alone
    assert result.hits == here.search("shipping goods", legs=frozenset({"lexical"})).hits
    assert not here.search("shipping goods").words_alone
