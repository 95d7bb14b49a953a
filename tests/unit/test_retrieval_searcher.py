"""A search by example: both legs, both languages, repeats, deleted documents, order."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from kotaemon_node.domain.knowledge import Hit
from kotaemon_node.ports.encoder import Encoder, SpaceVectors
from kotaemon_node.retrieval import searcher as searcher_module
from kotaemon_node.retrieval.dense import nearest_rows
from kotaemon_node.retrieval.fusion import fused
from kotaemon_node.retrieval.searcher import Searcher
from tests.fakes.encoder import HashingEncoder
from tests.fakes.knowledge import open_generation, searcher_of

FILLER = {f"filler-{number}.md": f"Chair number {number} is made of oak." for number in range(12)}


class TwoLanguageEncoder(HashingEncoder):
    """One space for both languages: a small dictionary brings equal meanings together."""

    MEANINGS: Mapping[str, str] = {"台灯": "lamp", "保修": "warranty", "退货": "return"}

    def _encode(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        meant = list(texts)
        for chinese, english in self.MEANINGS.items():
            meant = [text.replace(chinese, f" {english} ") for text in meant]
        return super()._encode(meant)


def found(searcher: Searcher, question: str, top_k: int = 4) -> list[str]:
    return [hit.passage.document for hit in searcher.search(question, top_k=top_k).hits]


def test_a_hit_says_why_it_was_found(tmp_path: Path) -> None:
    searcher = searcher_of(tmp_path, {"lamps.md": "The lamp has a warranty.", **FILLER})
    best = searcher.search("warranty of the lamp", top_k=4).hits[0]
    assert best.passage.document == "lamps.md"
    assert 0.5 < best.coverage < 1.0
    assert best.lexical > 0
    assert best.dense is not None
    assert best.contrast is not None
    assert 0.3 < best.contrast < best.dense + 0.1


def test_contrast_is_near_zero_for_what_is_like_everything_else(tmp_path: Path) -> None:
    searcher = searcher_of(tmp_path, FILLER)
    hits = searcher.search("warranty of the lamp", top_k=4).hits
    assert all(abs(hit.contrast or 0.0) < 0.3 for hit in hits)
    assert all(hit.coverage == 0.0 for hit in hits)


def test_a_rare_name_is_found_by_its_letters_alone(tmp_path: Path) -> None:
    # Given an encoder to which all texts are the same
    class Blind(HashingEncoder):
        def _encode(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
            return super()._encode(["same"] * len(texts))

    searcher = searcher_of(tmp_path, {**FILLER, "x.md": "Part XK-4411 fits."}, encoder=Blind())
    assert found(searcher, "xk-4411")[0] == "x.md"


def test_a_deleted_document_and_an_old_revision_are_never_found(tmp_path: Path) -> None:
    old = {"lamp.md": "chairs\n\nA lamp with an old warranty.", "gone.md": "A lamp of no warranty."}
    new = {"lamp.md": "A lamp with a new warranty."}
    searcher = searcher_of(tmp_path, old, {**new, **FILLER}, deleted={"gone.md"})
    texts = [hit.passage.text for hit in searcher.search("lamp warranty", top_k=9).hits]
    assert texts[0] == new["lamp.md"]
    assert not any("old warranty" in text or "no warranty" in text for text in texts)


def test_what_lives_is_found_among_many_that_are_dead(tmp_path: Path) -> None:
    # Given a segment whose one living passage is the farthest from the question
    lamps = {f"{number}.md": f"old lamp {number}" for number in range(200)}
    documents = {**lamps, "chair.md": "a chair"}
    generation = open_generation(tmp_path, [documents], deleted=set(lamps))
    question = HashingEncoder().encode_queries(["old lamp 7"])["all"].vectors[0]
    rows, _ = nearest_rows(generation, "all", question, 1)
    assert [generation.passage(row).document for row in rows.tolist()] == ["chair.md"]


def test_the_same_text_twice_is_found_once(tmp_path: Path) -> None:
    text = "The lamp has a warranty of two years, counted from the day of delivery."
    documents = {"a.md": text, "copy.md": text, "b.md": text.replace("two", "2"), **FILLER}
    result = found(searcher_of(tmp_path, documents), "lamp warranty")
    assert set(result[:2]) == {"a.md", "b.md"}
    assert "copy.md" not in result


def test_nearly_the_same_text_is_a_repeat_unless_its_numbers_differ(tmp_path: Path) -> None:
    words = (
        "the warranty of this lamp is counted from the day on which it was delivered to you by us"
    )
    documents = {"a.md": f"{words} 30", "b.md": f"{words} 30 indeed", "c.md": f"{words} 14"}
    result = found(searcher_of(tmp_path, {**documents, **FILLER}), "lamp warranty")
    assert set(result[:2]) in ({"a.md", "c.md"}, {"b.md", "c.md"})
    assert not {"a.md", "b.md"} <= set(result)


def test_equals_stand_in_the_order_of_their_documents(tmp_path: Path) -> None:
    documents = {f"{name}.md": f"lamp {name}" for name in ("c", "a", "b")}
    searcher = searcher_of(tmp_path, documents)
    question = {"all": np.zeros(64, dtype=np.float32)}
    hits = searcher.search("lamp", top_k=3, encoded=question).hits
    assert [hit.passage.document for hit in hits] == ["a.md", "b.md", "c.md"]


BOTH = {
    "en.md": "The lamp has a warranty of two years.",
    "zh.md": "台灯的保修期为两年。",
    "en-only.md": "A return is free of charge.",
    "noise.md": "这里不接受现金，可以刷卡。",
}


@pytest.mark.parametrize(
    ("question", "expected"), [("warranty of the lamp", "en.md"), ("台灯的保修期", "zh.md")]
)
@pytest.mark.parametrize("encoder", [TwoLanguageEncoder(), HashingEncoder(by_language=True)])
def test_knowledge_in_both_languages_is_found_in_that_of_the_question(
    tmp_path: Path, question: str, expected: str, encoder: Encoder
) -> None:
    searcher = searcher_of(tmp_path, {**BOTH, **FILLER}, encoder=encoder)
    assert found(searcher, question)[0] == expected


def test_knowledge_in_the_other_language_alone_is_found_across(tmp_path: Path) -> None:
    # Given a Chinese question whose characters also stand in a passage about something else
    searcher = searcher_of(tmp_path, {**BOTH, **FILLER}, encoder=TwoLanguageEncoder())
    hits = searcher.search("退货 可以 退货 吗", top_k=4).hits
    assert "en-only.md" in [hit.passage.document for hit in hits[:2]]
    hit = next(hit for hit in hits if hit.passage.document == "en-only.md")
    assert hit.coverage == 0.0
    assert (hit.contrast or 0.0) > 0.2
    # Its closeness counts more than that of a passage in the question's language.
    assert hit.score == pytest.approx(fused(hit.contrast, 0.0, foreign=True))
    assert hit.score > fused(hit.contrast or 0.0, 0.0)


def test_spaces_are_never_compared_with_each_other(tmp_path: Path) -> None:
    searcher = searcher_of(tmp_path, BOTH, encoder=HashingEncoder(by_language=True))
    for hit in searcher.search("lamp warranty", top_k=9).hits:
        assert (hit.dense is None) == (hit.passage.language == "zh")
        assert (hit.contrast is None) == (hit.dense is None)


@pytest.mark.parametrize(
    "question", ["", "？", "the of and", "xyzzy", "\ud800", "a" * 4000, "台" * 4000]
)
def test_any_question_has_a_result(tmp_path: Path, question: str) -> None:
    searcher = searcher_of(tmp_path, {**BOTH, **FILLER})
    hits = searcher.search(question, top_k=4).hits
    assert len(hits) <= 4
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_an_empty_knowledge_base_has_no_hits(tmp_path: Path) -> None:
    assert searcher_of(tmp_path).search("lamp", top_k=4).hits == ()
    assert searcher_of(tmp_path, {}).search("lamp", top_k=4).hits == ()


def test_a_large_generation_is_searched_on_a_native_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searcher = searcher_of(tmp_path, FILLER)
    here = searcher.search("chair", top_k=2)
    calls: list[object] = []

    def compute(work: object, *arguments: object) -> tuple[Hit, ...]:
        calls.append(work)
        return here.hits

    monkeypatch.setattr(searcher, "_compute", compute)
    assert searcher.search("chair", top_k=2) == here
    assert calls == []
    monkeypatch.setattr(searcher_module, "_NATIVE_ROWS_MIN", 1)
    assert searcher.search("chair", top_k=2) == here
    assert len(calls) == 1


def test_the_passages_of_a_document_come_in_the_order_of_its_text(tmp_path: Path) -> None:
    searcher = searcher_of(tmp_path, {"a.md": "one\n\ntwo\n\nthree"}, {"b.md": "four"})
    assert [passage.text for passage in searcher.passages_of("a.md")] == ["one", "two", "three"]
    assert searcher.passages_of("none.md") == ()


def test_the_weights_of_a_question_are_those_of_its_terms(tmp_path: Path) -> None:
    searcher = searcher_of(tmp_path, {"a.md": "lamp", **FILLER})
    weights = searcher.weights("Is the lamp beside the chair?")
    assert set(weights) == {"lamp", "besid", "chair"}
    assert weights["besid"] > weights["lamp"] > weights["chair"]
