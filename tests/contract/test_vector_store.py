"""What ``ports.vectors`` promises, by Weaviate: a real server, and a small part of one in here."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from kotaemon_node.adapters.weaviate import WeaviateStore
from kotaemon_node.ports.vectors import Ask, VectorBlock, VectorSet, VectorStore, VectorsUnavailable
from tests.fakes.weaviate import FakeWeaviate
from tests.weaviate_server import WeaviateServer

DIMENSION = 24
TIMEOUT_S = 60.0
Server = FakeWeaviate | WeaviateServer


@pytest.fixture(
    scope="module",
    params=[FakeWeaviate, pytest.param(WeaviateServer, marks=pytest.mark.long)],
    ids=["fake", "real"],
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = request.param()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def store_of(server: Server) -> VectorStore:
    """Return what speaks with a server; another kind of store is another case here."""
    match server:
        case FakeWeaviate() | WeaviateServer():
            return WeaviateStore(server.address, timeout_s=TIMEOUT_S)


@pytest.fixture
def store(server: Server) -> VectorStore:
    store = store_of(server)
    for kb in ("default", "Returns & more", "returns"):
        store.keep_only("acme", kb, ())
    return store


def a_set(segment: str = "a" * 64, *, kb: str = "default", space: str = "mini.lm") -> VectorSet:
    return VectorSet("acme", kb, space, segment, DIMENSION)


def vectors(count: int, *, seed: int = 7, dimension: int = DIMENSION) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal((count, dimension))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def write(store: VectorStore, of: VectorSet, given: NDArray[np.float32]) -> None:
    store.write(of, [(np.arange(len(given)), given)])


def test_the_nearest_rows_are_found_closest_first(store: VectorStore) -> None:
    given = vectors(300)
    write(store, a_set(), given)
    for asked in vectors(20, seed=8):
        rows = store.nearest([Ask(a_set(), 300, k=10)], asked)[a_set()]
        assert rows.dtype == np.int64
        assert rows.tolist() == np.argsort(-(given @ asked))[:10].tolist()


def test_rows_keep_their_numbers_and_few_are_told_as_few(store: VectorStore) -> None:
    given = vectors(3)
    rows = np.array([0, 17, 2**31])
    store.write(a_set(), [(rows[:1], given[:1]), (rows[1:], given[1:])])
    found = store.nearest([Ask(a_set(), 3, k=50)], given[1])[a_set()]
    assert found[0] == 17
    assert sorted(found.tolist()) == rows.tolist()


def test_closeness_is_the_inner_product_of_vectors_as_they_are(store: VectorStore) -> None:
    given = vectors(2)
    given[1] = given[0] * 1.001
    write(store, a_set(), given)
    assert store.nearest([Ask(a_set(), 2, k=1)], given[0])[a_set()].tolist() == [1]


def test_a_set_holds_what_was_written_last_and_nothing_else(store: VectorStore) -> None:
    given = vectors(40)
    write(store, a_set(), vectors(60, seed=9))
    write(store, a_set(), given)
    write(store, a_set(), given)
    assert store.sizes([a_set()]) == {a_set(): 40}
    for row, vector in enumerate(given):
        assert store.nearest([Ask(a_set(), 40, k=1)], vector)[a_set()].tolist() == [row]


def test_several_sets_are_asked_at_once_and_know_nothing_of_each_other(
    store: VectorStore,
) -> None:
    other = a_set("b" * 64)
    write(store, a_set(), vectors(30, seed=1))
    write(store, other, vectors(20, seed=2))
    asked = vectors(1, seed=3)[0]
    found = store.nearest([Ask(a_set(), 30, k=30), Ask(other, 20, k=5)], asked)
    assert sorted(found[a_set()].tolist()) == list(range(30))
    assert found[other].tolist() == np.argsort(-(vectors(20, seed=2) @ asked))[:5].tolist()


def test_spaces_tenants_and_knowledge_bases_are_apart(store: VectorStore) -> None:
    one = a_set()
    others = [
        a_set(space="mini.lm.zh"),
        replace(a_set(space="mini.lm"), dimension=DIMENSION // 2),
        a_set(kb="Returns & more"),
        a_set(kb="returns"),
        replace(a_set(), tenant="acme2"),
    ]
    write(store, one, vectors(5))
    assert store.sizes([one, *others]) == {one: 5}
    for number, other in enumerate(others, start=1):
        write(store, other, vectors(number, dimension=other.dimension))
    assert store.sizes([one, *others]) == {one: 5} | dict(zip(others, range(1, 6), strict=True))
    store.keep_only("acme2", "default", ())


def test_a_set_that_is_not_whole_or_not_there_is_left_out(store: VectorStore) -> None:
    whole, missing = a_set(), a_set("c" * 64)
    asked = vectors(1)[0]
    assert store.nearest([Ask(whole, 10, k=3)], asked) == {}
    write(store, whole, vectors(10))
    for size in (9, 11):
        assert store.nearest([Ask(whole, size, k=3)], asked) == {}
    found = store.nearest([Ask(missing, 10, k=3), Ask(whole, 10, k=3)], asked)
    assert list(found) == [whole]
    assert store.sizes([missing, whole]) == {whole: 10}
    elsewhere = a_set(space="unknown")
    assert store.nearest([Ask(elsewhere, 1, k=1)], asked) == {}


def test_a_set_that_was_not_written_to_the_end_is_not_whole(store: VectorStore) -> None:
    given = vectors(8)

    def broken_off() -> Iterator[VectorBlock]:
        yield np.arange(8), given
        raise InterruptedError

    write(store, a_set(), given)
    with pytest.raises(InterruptedError):
        store.write(a_set(), broken_off())
    # All its vectors are there; whether the server would keep them, nobody knows.
    assert store.sizes([a_set()]).get(a_set()) != 8
    assert store.nearest([Ask(a_set(), 8, k=3)], given[0]) == {}
    write(store, a_set(), given)
    assert store.sizes([a_set()]) == {a_set(): 8}
    assert len(store.nearest([Ask(a_set(), 8, k=3)], given[0])[a_set()]) == 3


def test_only_the_sets_of_kept_segments_stay(store: VectorStore) -> None:
    kept, doomed = a_set(), a_set("b" * 64)
    doomed_alone = a_set("c" * 64, space="other")
    elsewhere = a_set("b" * 64, kb="returns")
    for of in (kept, doomed, doomed_alone, elsewhere):
        write(store, of, vectors(2))
    assert store.keep_only("acme", "default", [kept.segment, "never-there"]) == 2
    assert store.sizes([kept, doomed, doomed_alone, elsewhere]) == {kept: 2, elsewhere: 2}
    assert store.keep_only("acme", "default", [kept.segment]) == 0
    write(store, doomed_alone, vectors(1))
    assert store.sizes([doomed_alone]) == {doomed_alone: 1}


def test_what_somebody_else_removed_is_made_again(store: VectorStore, server: Server) -> None:
    write(store, a_set(), vectors(4))
    store_of(server).keep_only("acme", "default", ())
    write(store, a_set(), vectors(4))
    assert store.sizes([a_set()]) == {a_set(): 4}


def test_a_wrong_key_is_told_as_such(server: Server) -> None:
    # Of Weaviate alone: the port says nothing of keys.
    stranger = WeaviateStore(replace(server.address, key="guessed"), timeout_s=TIMEOUT_S)
    for call in (stranger.check, lambda: stranger.sizes([a_set()])):
        with pytest.raises(VectorsUnavailable, match="VECTOR_STORE_KEY"):
            call()


def test_a_server_that_can_be_used_passes_the_check(store: VectorStore) -> None:
    store.check()
