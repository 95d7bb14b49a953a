"""What ``VECTOR_STORE`` may say, how sets are called there, and what failures read like."""

import re
from dataclasses import dataclass

import pytest

from kotaemon_node.adapters.weaviate import WeaviateAddress, WeaviateStore, names
from kotaemon_node.composition.vector_stores import write_store
from kotaemon_node.ports.vectors import VectorSet, VectorsUnavailable
from tests.fakes.weaviate import FakeWeaviate


@dataclass(frozen=True)
class Says:
    vector_store: str
    vector_store_key: str = ""


@pytest.mark.parametrize(
    ("setting", "url", "area"),
    [
        ("weaviate+http://box:8080", "http://box:8080", "kotaemon"),
        ("weaviate+http://box", "http://box:80", "kotaemon"),
        ("weaviate+https://box/shop-2", "https://box:443", "shop-2"),
        ("weaviate+http://[::1]:8080/", "http://[::1]:8080", "kotaemon"),
    ],
)
def test_a_server_is_named_by_its_address_and_an_area(setting: str, url: str, area: str) -> None:
    assert WeaviateAddress.of(Says(setting, "k")) == WeaviateAddress(url, area, "k")


def test_without_a_server_there_is_nothing_to_ask() -> None:
    assert write_store(Says("faiss")) is None


def test_the_kind_of_a_store_is_a_scheme_in_letters_of_any_size() -> None:
    store = write_store(Says(" Weaviate+HTTP://box "))
    assert isinstance(store, WeaviateStore)


@pytest.mark.parametrize(
    "setting",
    [
        "",
        "faiss+http://box",
        "qdrant+http://me:secret@box",
        "weaviate",
        "http://box:8080",
        "weaviate+http://",
        "weaviate+http://box:0",
        "weaviate+http://box:port",
        "weaviate+http://me:secret@box",
        "weaviate+http://box/Shop",
        "weaviate+http://box/shop/two",
        "weaviate+http://box?key=secret",
    ],
)
def test_anything_else_is_refused_without_repeating_it(setting: str) -> None:
    with pytest.raises(ValueError, match=r"VECTOR_STORE is .*weaviate\+http") as error:
        write_store(Says(setting))
    assert "secret" not in str(error.value)


def test_names_of_collections_are_safe_and_tell_all_parts_apart() -> None:
    sets = [
        VectorSet("a", "b", "c", "s", 3),
        VectorSet("a", "b", "c", "s", 4),
        VectorSet("a", "b", "c3", "s", 3),
        VectorSet("ab", "", "c", "s", 3),
        VectorSet("", "ab", "c", "s", 3),
        VectorSet("a", 'b"){evil}', "c", "s", 3),
    ]
    called = {names.collection("area", of) for of in sets}
    assert len(called) == len(sets)
    assert all(re.fullmatch(r"Kn_[0-9a-f]{24}_[0-9a-f]{24}", name) for name in called)
    assert names.collection("area", sets[0]) != names.collection("area2", sets[0])


def test_a_segment_that_is_no_plain_name_is_never_asked_for() -> None:
    with pytest.raises(ValueError, match="no name of a segment"):
        names.shard(VectorSet("a", "b", "c", 'x"){_additional{id}}', 3))


def test_rows_are_the_ends_of_ids_and_nothing_else_is_a_row() -> None:
    assert [names.row_of(names.uuid_of(row)) for row in (0, 1, 10**9)] == [0, 1, 10**9]
    for other in (names.SEAL, "", "00000000-0000-0000-0000-00000000000G"):
        with pytest.raises(ValueError, match="no row"):
            names.row_of(other)


@pytest.mark.parametrize(
    ("status", "told"), [(500, "answers 500"), (503, "answers 503"), (403, "VECTOR_STORE_KEY")]
)
def test_what_a_server_refuses_is_told_without_the_key(status: int, told: str) -> None:
    server = FakeWeaviate()
    server.start()
    try:
        server.status = status
        with pytest.raises(VectorsUnavailable, match=told) as error:
            WeaviateStore(server.address, timeout_s=60.0).check()
        assert server.address.key not in str(error.value)
        assert server.address.key not in repr(server.address)
    finally:
        server.remove()


def test_nobody_at_the_address_is_told_in_one_sentence() -> None:
    store = WeaviateStore(WeaviateAddress("http://127.0.0.1:1"), timeout_s=60.0)
    with pytest.raises(VectorsUnavailable, match=r"does not answer: .*refused$"):
        store.check()
