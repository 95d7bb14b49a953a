"""What a pod remembers of a session is used only where it is the history that the store has."""

from collections.abc import Sequence

import pytest

from kotaemon_node.adapters.redis.session_cache import Head, Remembered, SessionCache, carried_on
from kotaemon_node.domain.session import SessionKey

KEY = SessionKey("default", "s1")
HERE, THERE = (b"asked", b"answered here"), (b"asked", b"answered elsewhere")
NEWEST = b"asked again"


class Looked:
    """A memory of ``HERE``, and what came of a look at a store with another history."""

    def __init__(self, stored: Sequence[bytes], *, brought: int, epoch: str = "e1") -> None:
        self.results: list[str] = []
        self.fetched: list[tuple[int, int]] = []
        self.stored = stored
        self.cache = SessionCache(count=self.results.append)
        known = Remembered("e1", len(HERE), carried_on("", HERE), HERE)
        head = Head(epoch, len(stored), carried_on("", stored), 0, "ann")
        rows = stored[len(stored) - brought :]
        self.past = self.cache.completed(KEY, known, head, rows, fetch=self._fetch)

    def _fetch(self, first: int, version: int) -> Sequence[bytes]:
        self.fetched.append((first, version))
        return self.stored[first:version]


def test_turns_that_carry_it_on_are_all_that_is_needed() -> None:
    looked = Looked((*HERE, NEWEST), brought=1)

    assert looked.past == (*HERE, NEWEST)
    assert (looked.results, looked.fetched) == (["partial"], [])
    remembered = looked.cache.get(KEY)
    assert remembered is not None
    assert remembered.hash == carried_on("", looked.past)


@pytest.mark.parametrize("newer", [(), (NEWEST,)], ids=["as long", "longer"])
def test_a_store_that_was_set_back_and_went_on_otherwise_is_believed(
    newer: Sequence[bytes],
) -> None:
    looked = Looked((*THERE, *newer), brought=len(newer))

    assert looked.past == (*THERE, *newer)
    assert looked.results == ["rolled_back"]
    assert looked.fetched == [(0, 2 + len(newer))]
    assert looked.cache.get(KEY) is None, "of a history that is lost nothing is remembered anew"


def test_a_session_of_another_epoch_is_another() -> None:
    looked = Looked(HERE, brought=0, epoch="e2")

    assert looked.past == HERE
    assert (looked.results, looked.fetched) == (["miss"], [(0, 2)])
