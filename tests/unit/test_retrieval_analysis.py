"""What texts become: words, stems, numbers, characters and pairs."""

from typing import Any

import pytest

from kotaemon_node.domain.han import simplified
from kotaemon_node.engine import matching
from kotaemon_node.retrieval import analysis
from kotaemon_node.retrieval.analysis import question_terms, terms


@pytest.mark.parametrize(
    ("stems", "kept"), [(terms, analysis._kept_stem), (matching.stem, matching._stem)]
)
def test_what_is_too_long_for_a_word_is_not_remembered(stems: Any, kept: Any) -> None:
    stems("usual")
    before = kept.cache_info().currsize

    stems("x" * 65)

    assert kept.cache_info().currsize == before


def test_english_words_meet_in_their_stem() -> None:
    assert terms("Returned, RETURNING; returns") == {"return": 3}


def test_chinese_becomes_characters_and_pairs() -> None:
    assert terms("保修期，保修") == {"保": 2, "修": 2, "期": 1, "保修": 2, "修期": 1}


def test_full_width_forms_are_what_they_look_like() -> None:
    assert terms("ＡＢＣ　３．５") == terms("abc 3.5") == {"abc": 1, "3.5": 1}


def test_a_thousand_is_a_thousand() -> None:
    assert terms("1,000 items")["1000"] == terms("1000 items")["1000"] == 1


def test_mixed_names_are_found_whole_and_in_parts() -> None:
    assert terms("iPhone15的屏幕") == terms("iphone15 的屏幕")
    assert set(terms("iPhone 15")) <= set(terms("iPhone15"))


def test_other_scripts_are_words_of_their_own() -> None:
    assert terms("Привет мир") == {"привет": 1, "мир": 1}
    assert "カタ" in terms("カタカナ")


@pytest.mark.parametrize("empty", ["", " \n", "?!…。", "___", "😀"])
def test_a_text_without_words_has_no_terms(empty: str) -> None:
    assert terms(empty) == {}


def test_a_question_loses_its_small_words() -> None:
    assert question_terms("How do I return the lamp?") == {"return": 1, "lamp": 1}
    assert question_terms("How long does the warranty last?") == {"warranti": 1, "last": 1}
    assert set(question_terms("请问保修期是多少？")) == set(terms("保修期"))


def test_a_chinese_character_asks_for_less_than_a_pair_and_a_small_one_for_nothing() -> None:
    assert question_terms("请问保修在") == {"保": 0.5, "修": 0.5, "保修": 1, "修在": 1}
    assert set(question_terms("在这")) == set(terms("在这"))


def test_a_question_of_small_words_keeps_them() -> None:
    assert question_terms("What is it?") == terms("What is it?")
    assert set(question_terms("是什么")) == set(terms("是什么"))


def test_a_phrase_that_asks_leaves_no_pair_behind() -> None:
    # "什么时候" is cut out whole, or "么时" would be a rare and telling term.
    assert set(question_terms("什么时候发货")) == set(terms("发货"))
    assert set(question_terms("送货要多久")) == set(terms("送货"))


@pytest.mark.parametrize(
    ("traditional", "simplified"),
    [
        ("請問保固期是多久？", "请问保固期是多久？"),
        ("電腦壞了怎麼辦", "电脑坏了怎么办"),
        ("退貨後幾天能收到錢", "退货后几天能收到钱"),
        ("臺灣的颱風", "台湾的台风"),
        ("裏面、裡面", "里面、里面"),
    ],
)
def test_both_chinese_scripts_are_the_same_terms(traditional: str, simplified: str) -> None:
    assert terms(traditional) == terms(simplified)
    assert question_terms(traditional) == question_terms(simplified)


@pytest.mark.parametrize(
    "text",
    ["カタカナとひらがな", "한국어 문장", "ภาษาไทย", "Ünïcödé naïve façade", "发展中国家"],
)
def test_the_fold_of_scripts_leaves_other_texts_alone(text: str) -> None:
    assert simplified(text) == text


def test_a_fold_keeps_the_length_and_folds_once() -> None:
    han = "".join(map(chr, range(0x3400, 0xA000)))
    folded = simplified(han)
    assert len(folded) == len(han)
    assert simplified(folded) == folded


def test_words_of_japanese_and_korean_meet_as_before() -> None:
    assert terms("発送は後日です").keys() >= {"発", "発送", "です"}
    assert terms("後日") == terms("後日")
    assert terms("배송 기간") == {"배": 1, "송": 1, "배송": 1, "기": 1, "간": 1, "기간": 1}
