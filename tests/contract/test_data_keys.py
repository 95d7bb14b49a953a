"""Wrapped data keys: in memory, and on each kind of Redis; their copies in the artifact store."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.redis import RedisDataKeys, connect
from kotaemon_node.adapters.redis import data_keys as names
from kotaemon_node.adapters.sealing import CopiesInArtifacts
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.domain.data_keys import DataKeyRow
from tests.redis_sets import KINDS
from tests.sealing_parts import KeysInMemory

ROW = DataKeyRow("00" * 8, "t", 1_000, "m1", "d3JhcHBlZA==")
NEXT = replace(ROW, id="11" * 8, made_ms=2_000)


_SERVERS: dict[str, Any] = {}


@pytest.fixture(scope="module", autouse=True)
def _servers() -> Iterator[None]:
    yield
    for server in _SERVERS.values():
        server.remove()
    _SERVERS.clear()


@pytest.fixture(params=["memory", *KINDS])
def keys(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "memory":
        yield KeysInMemory()
        return
    if request.param not in _SERVERS:
        _SERVERS[request.param] = KINDS[request.param]()
        _SERVERS[request.param].start()
    _SERVERS[request.param].wipe()
    store = connect(_SERVERS[request.param].url)
    yield RedisDataKeys(store)
    store.client.close()


def test_the_life_of_a_key(keys: Any) -> None:
    assert (keys.read("t").rows, keys.read("t").newest, keys.tenants()) == ({}, "", [])

    # Of two that are made at once one comes first, and the other is told so.
    assert keys.add(ROW, newest="")
    assert not keys.add(NEXT, newest="")
    assert keys.add(NEXT, newest=ROW.id)
    assert keys.read("t").by_age() == [NEXT, ROW]
    assert (keys.tenants(), keys.read("other").rows) == (["t"], {})

    # Under another master key it is the same key; who knows an older row of it changes nothing.
    again = replace(ROW, master="m2", wrapped="b3RoZXI=")
    assert keys.rewrap(ROW, again)
    assert not keys.rewrap(ROW, replace(ROW, master="m3"))
    assert keys.read("t").rows[ROW.id] == again
    assert not keys.put_back(ROW)
    assert keys.read("t").rows[ROW.id] == again

    # What is destroyed never comes back.
    keys.destroy("t", [ROW.id, "22" * 8])
    keys.destroy("t", [ROW.id])
    assert not keys.put_back(again)
    assert not keys.put_back(replace(ROW, id="22" * 8))
    assert not keys.add(replace(ROW, id="22" * 8), newest=NEXT.id)
    assert not keys.rewrap(again, ROW)
    table = keys.read("t")
    assert (table.by_age(), table.destroyed) == ([NEXT], {ROW.id, "22" * 8})

    # Of all keys that are left none may be the newest that was made.
    keys.destroy("t", [NEXT.id])
    third = replace(ROW, id="33" * 8, made_ms=3_000)
    assert keys.read("t").newest == NEXT.id
    assert not keys.add(third, newest="")
    assert keys.add(third, newest=NEXT.id)
    assert keys.read("t").by_age() == [third]


def test_a_key_that_the_store_lost_is_put_back_and_seals_by_its_age(keys: Any) -> None:
    assert keys.put_back(ROW)
    assert keys.put_back(NEXT)

    assert keys.read("t").by_age() == [NEXT, ROW]
    assert keys.read("t").newest == NEXT.id
    assert keys.tenants() == ["t"]


def test_the_newest_is_known_in_whichever_order_lost_keys_come_back(keys: Any) -> None:
    assert keys.put_back(NEXT)
    assert keys.put_back(ROW)

    assert keys.read("t").newest == NEXT.id
    # Who looked before they came makes no other first key.
    assert not keys.add(replace(ROW, id="33" * 8), newest="")


def test_a_row_that_cannot_be_read_hides_no_other(keys: Any) -> None:
    if isinstance(keys, KeysInMemory):
        pytest.skip("it holds rows, and no bytes")
    keys.add(ROW, newest="")
    for other in (b"{", b"[]", b'{"id": 1}', NEXT.to_json(), replace(NEXT, tenant="o").to_json()):
        keys._store.client.hset(names.data_keys("t"), "44" * 8, other)

        assert keys.read("t").by_age() == [ROW]


def test_copies_outlive_the_store_and_a_destroyed_key_leaves_no_copy(tmp_path: Path) -> None:
    copies = CopiesInArtifacts(FileArtifactStore(tmp_path))
    assert (copies.read("t").rows, copies.tenants()) == ({}, [])

    copies.keep(ROW)
    copies.keep(ROW)
    copies.keep(NEXT)
    assert copies.read("t").rows == {ROW.id: ROW, NEXT.id: NEXT}

    again = replace(ROW, master="m2", wrapped="b3RoZXI=")
    copies.keep(again)
    assert copies.read("t").rows == {ROW.id: again, NEXT.id: NEXT}

    copies.destroy("t", [ROW.id])
    copies.keep(again)
    table = copies.read("t")
    assert (table.rows, table.destroyed) == ({NEXT.id: NEXT}, frozenset({ROW.id}))
    assert copies.tenants() == ["t"]
    assert not [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and ROW.id in path.name and path.stat().st_size
    ]


def test_a_damaged_copy_is_told_and_made_anew(tmp_path: Path) -> None:
    copies = CopiesInArtifacts(FileArtifactStore(tmp_path))
    copies.keep(ROW)
    copies.keep(NEXT)
    [path] = [path for path in tmp_path.rglob(f"{ROW.id}*")]
    path.chmod(0o600)
    path.write_bytes(b"{")

    assert copies.read("t").rows == {NEXT.id: NEXT}
    copies.keep(ROW)
    assert copies.read("t").rows == {ROW.id: ROW, NEXT.id: NEXT}
