"""The double buffer under any order of lending, returning and swapping, and under threads."""

import threading
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kotaemon_node.retrieval.generation import OpenGeneration
from kotaemon_node.retrieval.searcher import Searcher
from kotaemon_node.retrieval.slot import IndexReader


@dataclass
class FakeGeneration:
    """Counts how often it was closed."""

    number: int
    closed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        with self.lock:
            self.closed += 1


def reader_of(generation: FakeGeneration) -> IndexReader:
    # A searcher here is the generation itself: the slot looks at neither.
    return IndexReader(cast("OpenGeneration", generation), cast("Searcher", generation))


class DoubleBuffer(RuleBasedStateMachine):
    """Compares the reader with what its laws say of each generation."""

    def __init__(self) -> None:
        super().__init__()
        self.generations = [FakeGeneration(0)]
        self.reader = reader_of(self.generations[0])
        self.lent: list[tuple[AbstractContextManager[Searcher], FakeGeneration]] = []

    @rule()
    def lend(self) -> None:
        lending = self.reader.searcher()
        generation = cast("FakeGeneration", lending.__enter__())
        assert generation is self.generations[-1]
        self.lent.append((lending, generation))

    @precondition(lambda self: self.lent)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.lent) - 1))
        lending, _ = self.lent.pop(place)
        lending.__exit__(None, None, None)

    @precondition(lambda self: self.lent)
    @rule()
    def fail_while_lent(self) -> None:
        lending, _ = self.lent.pop()
        with suppress(RuntimeError):
            lending.__exit__(RuntimeError, RuntimeError("the turn failed"), None)

    @rule()
    def swap(self) -> None:
        self.generations.append(FakeGeneration(len(self.generations)))
        newest = self.generations[-1]
        self.reader.swap(cast("OpenGeneration", newest), cast("Searcher", newest))

    @invariant()
    def closed_exactly_when_unreachable(self) -> None:
        in_use = {id(generation) for _, generation in self.lent}
        for generation in self.generations[:-1]:
            assert generation.closed == (0 if id(generation) in in_use else 1)
        assert self.generations[-1].closed == 0
        assert self.reader.current is cast("OpenGeneration", self.generations[-1])


DoubleBuffer.TestCase.settings = settings(max_examples=100, deadline=None)
TestDoubleBuffer = DoubleBuffer.TestCase


def test_no_thread_ever_reads_a_closed_generation() -> None:
    # Given four readers that keep reading while generations are swapped
    generations = [FakeGeneration(0)]
    reader = reader_of(generations[0])
    failures: list[int] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            with reader.searcher() as searcher:
                generation = cast("FakeGeneration", searcher)
                if generation.closed:
                    failures.append(generation.number)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 2000):
        generations.append(FakeGeneration(number))
        newest = generations[-1]
        reader.swap(cast("OpenGeneration", newest), cast("Searcher", newest))
    stop.set()
    for thread in threads:
        thread.join()
    # Then none met a closed one, and all but the last are closed once
    assert failures == []
    assert [generation.closed for generation in generations] == [1] * 1999 + [0]
