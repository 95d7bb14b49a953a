"""By what a store confirms, judged by what its servers say; ``WAITAOF`` needs a Redis 7.2."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from redis.exceptions import AskError, ReadOnlyError, ResponseError, TryAgainError

from kotaemon_node.adapters.redis.address import Address
from kotaemon_node.adapters.redis.durability import (
    Durability,
    NeverDurable,
    NotDurableYet,
    Offer,
    Seal,
    Unconfirmed,
    seal_of,
)
from kotaemon_node.adapters.redis.slots import Node, SlotTable, slot_of
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.local import preflight
from kotaemon_node.local.errors import LocalError

OLD = Offer(primary=True, version=(7, 0), replicas=1, append_only=True, fsync="everysec")
NEW = replace(OLD, version=(7, 2))
WAIT = Seal(("WAIT", 1, 1000))
WAITAOF = Seal(("WAITAOF", 1, 0, 1000))


@pytest.mark.parametrize(
    ("level", "offers", "seal"),
    [
        ("local", [], None),
        ("replica", [OLD], WAIT),
        ("replica", [OLD, OLD, NEW], WAIT),
        ("fsync", [NEW], WAITAOF),
        ("fsync", [NEW, replace(NEW, version=(8, 0))], WAITAOF),
        ("fsync", [replace(OLD, fsync="always")], None),
        ("fsync", [replace(OLD, fsync="always"), replace(NEW, fsync="always")], None),
    ],
)
def test_a_store_confirms_by_what_all_its_primaries_have(
    level: Any, offers: Sequence[Offer], seal: Seal | None
) -> None:
    assert seal_of(level, offers) == seal


@pytest.mark.parametrize(
    ("level", "offers", "reason"),
    [
        ("replica", [], "no primary"),
        ("replica", [replace(OLD, primary=False)], "no primary"),
        ("fsync", [replace(NEW, primary=False)], "no primary"),
        ("replica", [OLD, replace(OLD, replicas=0)], "no replica is connected"),
    ],
)
def test_what_may_pass_is_told_from_what_never_will(
    level: Any, offers: Sequence[Offer], reason: str
) -> None:
    with pytest.raises(NotDurableYet, match=reason):
        seal_of(level, offers)


@pytest.mark.parametrize(
    ("offers", "advice"),
    [
        ([OLD], "appendfsync always"),
        ([replace(OLD, fsync="")], "CONFIG GET"),
        ([NEW, OLD], "7.2"),
        ([replace(NEW, append_only=False)], "appendonly yes"),
    ],
)
def test_what_can_never_be_is_told_with_what_to_do(offers: Sequence[Offer], advice: str) -> None:
    with pytest.raises(NeverDurable, match=advice) as refusal:
        seal_of("fsync", offers)
    assert str(refusal.value).endswith(".")


class Server:
    """Says what it is told to say."""

    def __init__(self, *, forbidden: bool = False, **info: Any) -> None:
        base = {"role": "master", "redis_version": "7.0.15", "aof_enabled": 1}
        self._info = {**base, "connected_slaves": len(info), **info}
        self._forbidden = forbidden

    def info(self) -> dict[str, Any]:
        return self._info

    def config_get(self, name: str) -> dict[str, str]:
        if self._forbidden:
            raise ResponseError("unknown command 'CONFIG'")
        return {name: "always"}


def test_an_offer_is_read_from_what_the_server_says() -> None:
    caught_up = {"ip": "x", "port": 1, "state": "online", "offset": 1, "lag": 0}
    behind = {**caught_up, "state": "wait_bgsave"}
    offer = Offer.of(Server(slave0=caught_up, slave1=behind, redis_version="7.2.4"))
    assert offer == Offer(True, (7, 2), 1, append_only=True, fsync="always")
    assert Offer.of(Server(forbidden=True)).fsync == ""
    assert Offer.of(Server(aof_enabled=0, redis_version="8.0.0")).append_only is False


@pytest.mark.parametrize(
    ("touched", "said", "refusal"),
    [
        (b"OK", 1, None),
        (b"OK", 2, None),
        (b"OK", [1, 0], None),
        (b"OK", 0, Unconfirmed),
        (b"OK", [0, 1], Unconfirmed),
        (b"OK", ResponseError("UNBLOCKED the primary is one no more"), Unconfirmed),
        (ReadOnlyError("READONLY"), 1, ReadOnlyError),
        (AskError("1 127.0.0.1:7000"), 1, TryAgainError),
    ],
)
def test_a_seal_holds_only_where_both_replies_are_good(
    touched: Any, said: Any, refusal: type[Exception] | None
) -> None:
    found = WAITAOF.refusal(touched, said)
    assert found is None if refusal is None else type(found) is refusal


def test_it_is_asked_until_it_holds_once() -> None:
    offers = [OLD]
    asked: list[int] = []

    def ask() -> Sequence[Offer]:
        asked.append(1)
        return offers

    durable = Durability("fsync", offers=ask)
    assert "fsync" in durable.lacking
    with pytest.raises(StoreUnavailable, match="appendfsync always"):
        durable.seal()
    assert "appendfsync always" in durable.lacking
    offers[:] = [NEW]
    assert durable.seal() == WAITAOF
    assert durable.lacking == ""
    offers[:] = []
    assert durable.seal() == WAITAOF
    assert len(asked) == 2


def test_replica_is_confirmed_by_nothing_else_whatever_is_offered() -> None:
    durable = Durability("replica", offers=lambda: [replace(OLD, replicas=0)])
    with pytest.raises(NotDurableYet):
        durable.check()
    assert durable.seal() == WAIT
    assert "no replica" in durable.lacking


def test_local_asks_nobody() -> None:
    def ask() -> Sequence[Offer]:
        raise AssertionError

    durable = Durability("local", offers=ask)
    durable.check()
    assert durable.seal() is None
    assert durable.lacking == ""


def test_kotaemons_own_redis_has_no_replica_and_may_have_a_patient_disk() -> None:
    with pytest.raises(LocalError, match="REDIS_URL"):
        preflight.check_durability("replica", "")
    preflight.check_durability("fsync", "")
    preflight.check_durability("local", "")


class _NotLookedThrough(dict[int, Address]):
    def values(self) -> Any:
        raise AssertionError("all slots were looked through")


def test_the_key_that_confirms_is_looked_for_once() -> None:
    here, there = ("127.0.0.1", 1), ("127.0.0.1", 2)
    table = SlotTable([], {})
    table._owners = {slot: here if slot < 100 else there for slot in range(16384)}
    node = Node(here, {})
    name = table.touch(node)
    assert slot_of(name) < 100

    table._owners = _NotLookedThrough(table._owners)

    assert table.touch(node) == name


def test_a_node_without_slots_is_asked_to_confirm_all_the_same() -> None:
    table = SlotTable([], {})
    table._owners = dict.fromkeys(range(16384), ("127.0.0.1", 2))

    assert table.touch(Node(("127.0.0.1", 1), {})).startswith("kn:touch:")
