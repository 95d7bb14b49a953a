"""Hot answers in every kind of Redis: who asks first, second and at once, and what is kept."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from kotaemon_node.adapters.redis import RedisHotAnswers, RedisStore
from kotaemon_node.adapters.redis.hot_keys import HotKeys
from kotaemon_node.domain import limits
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.hot_answers import AnswerName, Found, HotAnswer

ANSWER = HotAnswer(
    "Within two days. [1]",
    ({"id": "p1", "n": 1, "title": "包裹", "quotes": [[0, 16]]},),
    generation=7,
    usage={"prompt_tokens": 30},
    unanswered=False,
)


def hexed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def named(question: str = "how long?", how: str = "", *, tenant: str = "default") -> AnswerName:
    return AnswerName(tenant, hexed(tenant + question), hexed(tenant + question + how))


def turn(name: str) -> TurnKey:
    return TurnKey(SessionKey("default", f"s-{name}"), f"t-{name}")


@pytest.fixture
def hot(redis_store: RedisStore) -> RedisHotAnswers:
    return RedisHotAnswers(redis_store, ttl_s=600)


def test_the_first_is_noted_the_second_makes_it_the_third_has_it(hot: RedisHotAnswers) -> None:
    assert hot.look(named(), turn("a")) == Found()
    assert hot.look(named(), turn("b")) == Found(author=turn("b"))
    assert hot.look(named(), turn("c")) == Found(author=turn("b"))
    assert hot.keep(named(), turn("b"), ANSWER)
    assert hot.look(named(), turn("c")) == Found(answer=ANSWER)


def test_reading_an_answer_notes_nothing(hot: RedisHotAnswers) -> None:
    assert hot.get(named()) is None
    assert hot.look(named(), turn("a")) == Found()
    hot.look(named(), turn("a"))
    assert hot.get(named()) is None

    hot.keep(named(), turn("a"), ANSWER)

    assert hot.get(named()) == ANSWER


def test_a_repeated_look_of_the_author_finds_itself(hot: RedisHotAnswers) -> None:
    hot.look(named(), turn("a"))
    hot.look(named(), turn("a"))

    assert hot.look(named(), turn("a")) == Found(author=turn("a"))


def test_a_question_that_was_asked_of_another_generation_is_made_at_once(
    hot: RedisHotAnswers,
) -> None:
    hot.look(named(how="7"), turn("a"))

    assert hot.look(named(how="8"), turn("b")) == Found(author=turn("b"))


def test_nothing_is_shared_between_tenants(hot: RedisHotAnswers) -> None:
    hot.look(named(), turn("a"))
    hot.look(named(), turn("a"))
    hot.keep(named(), turn("a"), ANSWER)
    # Even under the same digests: the questions that were asked are a tenant's own.
    same = AnswerName("acme", named().question, hexed("acme"))

    assert hot.look(same, turn("b")) == Found()


def test_one_of_those_who_wait_replaces_an_author(hot: RedisHotAnswers) -> None:
    hot.look(named(), turn("a"))
    hot.look(named(), turn("dead"))

    found = [hot.look(named(), turn(name), instead_of=turn("dead")) for name in "bc"]

    assert found == [Found(author=turn("b"))] * 2


def test_who_gives_up_is_no_author_any_more_and_takes_no_other_ones_place(
    hot: RedisHotAnswers,
) -> None:
    hot.look(named(), turn("a"))
    hot.look(named(), turn("a"))
    hot.give_up(named(), turn("a"))
    assert hot.look(named(), turn("b")) == Found(author=turn("b"))

    hot.give_up(named(), turn("a"))

    assert hot.look(named(), turn("c")) == Found(author=turn("b"))


def test_an_answer_is_kept_also_from_one_whose_place_was_taken(hot: RedisHotAnswers) -> None:
    hot.look(named(), turn("slow"))
    hot.look(named(), turn("slow"))
    hot.look(named(), turn("b"), instead_of=turn("slow"))

    assert hot.keep(named(), turn("slow"), ANSWER)
    assert not hot.keep(named(), turn("b"), ANSWER)
    assert hot.look(named(), turn("c")) == Found(answer=ANSWER)


def test_of_many_at_once_one_is_the_author(hot: RedisHotAnswers) -> None:
    hot.look(named(), turn("first"))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: hot.look(named(), turn(str(n))), range(24)))

    assert len({one.author for one in found}) == 1


def test_everything_has_an_end(hot: RedisHotAnswers, redis_store: RedisStore) -> None:
    keys, client = HotKeys.of(hot.stored_as(named())), redis_store.client
    hot.look(named(), turn("a"))
    assert 0 < client.pttl(keys.asked) <= 2 * limits.HOT_ASKED_S * 1000
    hot.look(named(), turn("a"))
    assert 0 < client.pttl(keys.answer) <= limits.HOT_AUTHOR_S * 1000
    hot.keep(named(), turn("a"), ANSWER)
    assert limits.HOT_AUTHOR_S * 1000 < client.pttl(keys.answer) <= 600_000
    assert 0 < client.pttl(keys.kept) <= 600_000
    assert client.strlen(keys.asked) <= limits.HOT_ASKED_BITS // 8


def test_questions_are_forgotten_after_two_periods(
    hot: RedisHotAnswers, redis_store: RedisStore
) -> None:
    keys, client = HotKeys.of(hot.stored_as(named())), redis_store.client
    hot.look(named(), turn("a"))
    # A period has passed: what was asked in it is kept for one more.
    client.pexpire(keys.asked, int(limits.HOT_ASKED_S * 1000))
    others = (AnswerName("default", hexed(f"other {n}"), hexed("how")) for n in count())
    other = next(it for it in others if HotKeys.of(hot.stored_as(it)).kept == keys.kept)
    assert hot.look(other, turn("x")) == Found()
    assert 0 < client.pttl(keys.before) <= limits.HOT_ASKED_S * 1000
    assert hot.look(named(), turn("b")) == Found(author=turn("b"))

    hot.give_up(named(), turn("b"))
    client.delete(keys.asked, keys.before)

    assert hot.look(named(), turn("c")) == Found()


def test_an_answer_that_is_too_large_is_not_kept(hot: RedisHotAnswers) -> None:
    hot.look(named(), turn("a"))
    hot.look(named(), turn("a"))
    noise = "".join(hexed(str(number)) for number in range(4_000))
    large = HotAnswer(noise, (), generation=7)

    assert not hot.keep(named(), turn("a"), large)
    assert hot.look(named(), turn("b")) == Found(author=turn("b"))


def test_where_there_is_no_room_nothing_is_kept(
    redis_store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HOT_ANSWERS_BYTES_MAX", limits.HOT_SHARES * 300)
    hot = RedisHotAnswers(redis_store, ttl_s=600)
    names = [named(how=str(number)) for number in range(5)]

    kept = [hot.keep(name, turn("a"), ANSWER) for name in names]

    assert kept[0]
    assert not kept[-1]
    assert hot.look(names[-1], turn("a")) != Found(answer=ANSWER)


def test_what_cannot_be_read_is_no_answer(hot: RedisHotAnswers, redis_store: RedisStore) -> None:
    redis_store.client.set(HotKeys.of(hot.stored_as(named())).answer, b"Anonsense")

    assert hot.look(named(), turn("a")) == Found()


def test_strangers_are_seldom_taken_for_asked_before(hot: RedisHotAnswers) -> None:
    share = "7f"
    for number in range(300):
        digest = hexed(f"asked {number}")
        hot.look(AnswerName("default", share + digest[2:], digest), turn("a"))

    taken = 0
    for number in range(300):
        digest = hexed(f"new {number}")
        taken += hot.look(AnswerName("default", share + digest[2:], digest), turn("a")) != Found()

    # 300 questions of one share are 77,000 in an hour. They are noted as they come, so 600 at last.
    assert taken <= 2
