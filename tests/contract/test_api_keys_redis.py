"""The contract of ``ports.credentials.ApiKeys`` on real stores: sessions belong to their makers."""

from dataclasses import replace

import pytest

from kotaemon_node.adapters.redis import RedisApiKeys, RedisSessionStore, RedisStore, keys
from kotaemon_node.adapters.system import RandomIds
from kotaemon_node.domain import limits
from kotaemon_node.domain.credentials import ApiKey, digest_of, printed
from kotaemon_node.domain.errors import Conflict, NotFound, Overloaded, SessionNotFound
from kotaemon_node.domain.session import Principal, SessionKey, TurnKey
from kotaemon_node.ports.sessions import ClaimRequest

TEXT = printed("abcdefghijkl", "s" * 43)
KEY = ApiKey("abcdefghijkl", digest_of(TEXT), "t", "agent", "ann", 1.5, 2.5, "Ann's 手机")


@pytest.fixture
def api_keys(redis_store: RedisStore) -> RedisApiKeys:
    return RedisApiKeys(redis_store)


def test_a_key_is_kept_whole_but_for_its_secret(
    api_keys: RedisApiKeys, redis_store: RedisStore
) -> None:
    api_keys.add(KEY)

    assert api_keys.table(None).keys == {KEY.id: KEY}
    kept = redis_store.client.hgetall(keys.API_KEYS)
    assert TEXT.encode() not in b"".join(kept.values())
    assert b"sssss" not in b"".join(kept.values())


def test_a_table_is_read_again_only_when_something_changed(api_keys: RedisApiKeys) -> None:
    empty = api_keys.table(None)
    assert api_keys.table(empty) is empty

    api_keys.add(KEY)
    one = api_keys.table(empty)
    assert one.keys.keys() == {KEY.id}
    assert api_keys.table(one) is one

    assert api_keys.remove(KEY.id)
    assert api_keys.table(one).keys == {}


def test_adding_twice_makes_one_and_another_under_its_id_is_refused(api_keys: RedisApiKeys) -> None:
    api_keys.add(KEY)
    api_keys.add(KEY)

    with pytest.raises(Conflict):
        api_keys.add(replace(KEY, role="admin"))

    assert api_keys.table(None).keys == {KEY.id: KEY}


def test_removing_twice_says_so(api_keys: RedisApiKeys) -> None:
    api_keys.add(KEY)

    assert [api_keys.remove(KEY.id), api_keys.remove(KEY.id)] == [True, False]


def test_a_rotated_key_is_kept_once_and_by_one_of_two_who_rotate_it(
    api_keys: RedisApiKeys,
) -> None:
    narrow = replace(KEY, scopes=("talk", "search"))
    api_keys.add(narrow)
    first = narrow.rotated("1" * 64, now_s=100.0, overlap_s=50.0)

    api_keys.replace(narrow, first)
    api_keys.replace(narrow, first)  # the same again, as after a lost answer

    assert api_keys.table(None).keys == {KEY.id: first}
    assert first.digests(149.0) == ("1" * 64, KEY.digest)
    assert first.digests(150.0) == ("1" * 64,)
    with pytest.raises(Conflict, match="rotated"):
        api_keys.replace(narrow, narrow.rotated("2" * 64, now_s=100.0, overlap_s=0.0))
    api_keys.remove(KEY.id)
    with pytest.raises(NotFound):
        api_keys.replace(first, first.rotated("3" * 64, now_s=100.0, overlap_s=0.0))
    assert api_keys.table(None).keys == {}


def test_what_a_plain_key_has_not_is_not_written_and_an_unknown_scope_opens_nothing(
    api_keys: RedisApiKeys, redis_store: RedisStore
) -> None:
    api_keys.add(KEY)
    row = redis_store.client.hget(keys.API_KEYS, KEY.id)
    assert b"scopes" not in row
    assert b"previous" not in row

    redis_store.client.hset(keys.API_KEYS, "newer", row[:-1] + b',"scopes":["moon"]}')
    redis_store.client.set(keys.API_KEYS_STAMP, "another")

    assert api_keys.table(None).keys.keys() == {KEY.id}


def test_there_are_so_many_keys_and_no_more(
    api_keys: RedisApiKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "API_KEYS_MAX", 1)
    api_keys.add(KEY)

    with pytest.raises(Overloaded, match="revoke"):
        api_keys.add(replace(KEY, id="another"))


def test_a_row_that_cannot_be_read_closes_no_other(
    api_keys: RedisApiKeys, redis_store: RedisStore
) -> None:
    api_keys.add(KEY)
    redis_store.client.hset(keys.API_KEYS, "broken", b"{")
    redis_store.client.hset(keys.API_KEYS, "newer", b'{"what": 1}')

    assert api_keys.table(None).keys == {KEY.id: KEY}


def test_the_first_secret_stays(api_keys: RedisApiKeys) -> None:
    assert api_keys.session_secret("first") == "first"
    assert api_keys.session_secret("second") == "first"


def test_a_session_that_a_turn_makes_belongs_to_who_asked(redis_store: RedisStore) -> None:
    sessions = RedisSessionStore(redis_store, ttl_s=3600, idle_s=1800)
    makers = [Principal("t", "boss", "admin"), Principal("t", "ann", "customer")]

    for maker in makers:
        _claim(sessions, SessionKey("t", maker.subject), maker)

    for maker in makers:
        key = SessionKey("t", maker.subject)
        assert redis_store.client.hget(keys.SessionKeys.of(key).meta, "principal").decode() == (
            maker.subject
        )
        sessions.settle(TurnKey(key, "t1"))
        assert [row.session_id for row in sessions.list(maker, offset=0, limit=9)] == [
            maker.subject
        ]
    with pytest.raises(SessionNotFound):
        sessions.load(SessionKey("t", "boss"), makers[1], after_version=0, limit=0)
    view = sessions.load(SessionKey("t", "ann"), makers[0], after_version=0, limit=0)
    assert view.user_id == "ann"


def _claim(sessions: RedisSessionStore, key: SessionKey, principal: Principal) -> None:
    request = ClaimRequest(
        key=TurnKey(key, "t1"),
        principal=principal,
        message="hello",
        digest="d",
        options={},
        on_busy="enqueue",
        owner="worker-0.a",
        trace_id="trace",
        create_session=True,
        new_epoch=RandomIds().new_id(),
    )
    sessions.claim(request)
