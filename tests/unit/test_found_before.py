"""What a pod remembers of searches: the same question in the same generation, within bounds."""

from kotaemon_node.domain.knowledge import BOTH_LEGS
from kotaemon_node.retrieval.found_before import FoundBefore, RememberedKnowledge
from tests.hot_pods import Numbered


def remembered(knowledge: Numbered, found: FoundBefore | None = None):
    counted: list[str] = []
    return RememberedKnowledge(
        knowledge, FoundBefore() if found is None else found, counted.append
    ), counted


def search(knowledge, question: str = "how long?", *, top_k: int = 4, legs=BOTH_LEGS):
    with knowledge.pinned("default") as lent:
        return lent.search(question, top_k=top_k, legs=legs)


def test_the_same_question_is_searched_once() -> None:
    numbered = Numbered()
    knowledge, counted = remembered(numbered)

    first, second = search(knowledge), search(knowledge)

    assert first == second
    assert numbered.searched == ["how long?"]
    assert counted == ["miss", "hit"]


def test_another_generation_is_searched_anew() -> None:
    numbered = Numbered()
    knowledge, _ = remembered(numbered)
    search(knowledge)

    numbered.number = 8

    assert search(knowledge).generation == 8
    assert len(numbered.searched) == 2


def test_a_restored_generation_of_the_same_number_is_another_one() -> None:
    numbered = Numbered()
    knowledge, counted = remembered(numbered)
    search(knowledge)

    numbered.digest = "restored"
    search(knowledge)

    assert counted == ["miss", "miss"]


def test_how_it_is_searched_is_part_of_the_question() -> None:
    numbered = Numbered()
    knowledge, counted = remembered(numbered)

    search(knowledge)
    search(knowledge, top_k=8)
    search(knowledge, legs=frozenset({"lexical"}))
    search(knowledge, "How long?")

    assert counted == ["miss"] * 4


def test_memory_is_bounded_in_number_and_the_longest_unused_goes() -> None:
    numbered = Numbered()
    knowledge, counted = remembered(numbered, FoundBefore(entries_max=2))
    search(knowledge, "a")
    search(knowledge, "b")
    search(knowledge, "a")
    search(knowledge, "c")

    assert len(knowledge.found) == 2
    counted.clear()
    search(knowledge, "a")
    search(knowledge, "b")
    assert counted == ["hit", "miss"]


def test_memory_is_bounded_in_bytes() -> None:
    numbered = Numbered()
    found = FoundBefore(bytes_max=5_000)
    knowledge, _ = remembered(numbered, found)

    for number in range(20):
        search(knowledge, f"question {number}")
        assert found.size_bytes <= 5_000
    search(knowledge, "long " * 2_000)

    assert 0 < len(found) <= 4


def test_what_was_found_without_the_encoder_is_searched_again() -> None:
    numbered = Numbered()
    numbered.words_alone = True
    knowledge, counted = remembered(numbered)

    search(knowledge)
    search(knowledge)

    assert counted == ["miss", "miss"]
