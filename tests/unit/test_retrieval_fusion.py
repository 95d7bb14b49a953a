"""Meaning and words as one score: the sure leg decides, and nothing else that is found matters."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from kotaemon_node.domain.knowledge import Hit
from kotaemon_node.retrieval.fusion import MEANING, MEANING_FOREIGN, fused, trust_in_meaning
from tests.fakes.knowledge import searcher_of

DOCUMENTS = {
    f"{number:02}.md": f"{kind} number {number} is {colour} and costs {number * 7} coins."
    for number, (kind, colour) in enumerate(
        (kind, colour)
        for kind in ("Lamp", "Chair", "Table", "Kettle", "Carpet", "Mirror")
        for colour in ("red", "green", "blue", "white", "black")
    )
}
QUESTION = "How much is the green lamp, or a blue kettle?"


def scores(hits: Sequence[Hit]) -> dict[str, float]:
    return {hit.passage.document: hit.score for hit in hits}


def test_a_score_is_made_of_meaning_and_words() -> None:
    assert fused(1.0, 1.0) == pytest.approx(1.0)
    assert fused(1.0, 0.0) == pytest.approx(MEANING)
    # Across languages closeness stands for words, too, and a name that both have comes on top.
    assert fused(1.0, 0.0, foreign=True) == pytest.approx(MEANING_FOREIGN)
    assert fused(0.5, 0.2, foreign=True) > fused(0.5, 0.0, foreign=True) > fused(0.5, 0.0)


def test_what_is_no_chinese_in_a_chinese_question_is_left_to_the_words() -> None:
    assert trust_in_meaning("怎么退货？", language="zh") == 1.0
    assert trust_in_meaning("报警 TiDB_panic", language="zh") == pytest.approx(2 / 12)
    assert trust_in_meaning("TiDB_panic_total", language="en") == 1.0
    assert trust_in_meaning("", language="zh") == 1.0
    assert fused(1.0, 0.5, trust=0.0) == pytest.approx(0.5)
    assert fused(1.0, 0.0, trust=0.5) == pytest.approx(MEANING / 2)
    assert fused(1.0, 0.0, foreign=True, trust=0.5) == pytest.approx(MEANING_FOREIGN / 2)


def test_the_score_of_a_hit_follows_from_its_parts(tmp_path: Path) -> None:
    found = searcher_of(tmp_path, DOCUMENTS)
    weights = found.weights(QUESTION)
    best, second = found.search(QUESTION, top_k=2).hits
    # BM25 in the same proportion to its share, whatever the hit.
    share = (best.score - MEANING * (best.contrast or 0.0)) / best.lexical
    assert second.score == pytest.approx(
        MEANING * (second.contrast or 0.0) + share * second.lexical
    )
    assert 0 < share * best.lexical < 1 - MEANING
    assert weights


def test_how_many_are_asked_for_changes_no_score(tmp_path: Path) -> None:
    found = searcher_of(tmp_path, DOCUMENTS)
    few, many = (scores(found.search(QUESTION, top_k=k).hits) for k in (3, 30))
    assert len(few) == 3
    assert len(many) > 20
    assert few == {name: many[name] for name in few}
    assert list(few) == list(many)[:3]


def test_how_a_generation_is_cut_changes_no_score(tmp_path: Path) -> None:
    names = list(DOCUMENTS)
    cuts = [{name: DOCUMENTS[name] for name in names[at::7]} for at in range(7)]
    whole = searcher_of(tmp_path / "whole", DOCUMENTS).search(QUESTION, top_k=9).hits
    cut = searcher_of(tmp_path / "cut", *cuts).search(QUESTION, top_k=9).hits
    assert [hit.passage.id for hit in cut] == [hit.passage.id for hit in whole]
    assert scores(cut) == pytest.approx(scores(whole))


def test_a_passage_more_changes_the_order_of_no_others(tmp_path: Path) -> None:
    # Given one that is nearer than all and shares no word that tells the others apart
    other = {"zz.md": "How much is it, or how much is a?"}
    before = searcher_of(tmp_path / "before", DOCUMENTS).search(QUESTION, top_k=9).hits
    after = searcher_of(tmp_path / "after", {**DOCUMENTS, **other}).search(QUESTION, top_k=10).hits
    left = [hit.passage.document for hit in after if hit.passage.document not in other]
    assert left[:5] == [hit.passage.document for hit in before][:5]
