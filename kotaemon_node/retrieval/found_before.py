"""What was found before: results of searches in a pod's memory, by generation and question.

A generation never changes, so what was found in it stays right; a newer one has another digest, and
its results other keys. Those of old ones fall out when room is needed.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from kotaemon_node.domain import limits
from kotaemon_node.domain.knowledge import BOTH_LEGS, GenerationRef, Leg, SearchResult

# What a passage takes beside its text: its object, names and numbers.
_PASSAGE_BYTES: Final = 1_000
_RESULT_BYTES: Final = 500
# The most that Python takes for a character; Chinese takes two.
_CHARACTER_BYTES: Final = 2

_Key = tuple[str, int, str, str, int, frozenset[Leg]]
"""A digest is taken over the manifest, which names tenant and knowledge base."""


class _Pinned(Protocol):
    @property
    def ref(self) -> GenerationRef: ...
    def closeness(self, one: str, other: str) -> float: ...
    def search(
        self, question: str, *, top_k: int, legs: frozenset[Leg] = BOTH_LEGS
    ) -> SearchResult: ...


class _Knowledge(Protocol):
    def pinned(self, kb: str, *, min_generation: int = 0) -> AbstractContextManager[_Pinned]: ...


Count = Callable[[Literal["hit", "miss"]], None]


class FoundBefore:
    """Results by key, those used last; bounded in number and bytes. Thread safe."""

    def __init__(
        self,
        *,
        bytes_max: int = limits.FOUND_BYTES_MAX,
        entries_max: int = limits.FOUND_ENTRIES_MAX,
    ) -> None:
        self._bytes_max = bytes_max
        self._entries_max = entries_max
        self._lock = threading.Lock()
        self._results: OrderedDict[_Key, tuple[SearchResult, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: _Key) -> SearchResult | None:
        """Return a result that was put."""
        with self._lock:
            known = self._results.get(key)
            if known is None:
                return None
            self._results.move_to_end(key)
            return known[0]

    def put(self, key: _Key, result: SearchResult) -> None:
        """Remember a result; one that is too large is not."""
        size = _size(key, result)
        if size > self._bytes_max:
            return
        with self._lock:
            before = self._results.pop(key, None)
            self._bytes += size - (before[1] if before else 0)
            self._results[key] = (result, size)
            while self._bytes > self._bytes_max or len(self._results) > self._entries_max:
                _, (_, freed) = self._results.popitem(last=False)
                self._bytes -= freed

    @property
    def size_bytes(self) -> int:
        """About how much memory the results take."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._results)


@dataclass(frozen=True, slots=True)
class RememberedKnowledge:
    """``engine.answering.Knowledge`` whose generations remember what was found in them."""

    knowledge: _Knowledge
    found: FoundBefore
    count: Count = lambda _: None

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator["_Remembered"]:
        """Lend a generation; errors as those of the knowledge behind it."""
        with self.knowledge.pinned(kb, min_generation=min_generation) as lent:
            yield _Remembered(lent, self.found, self.count)


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A generation for as long as it is lent."""

    lent: _Pinned
    found: FoundBefore
    count: Count

    @property
    def ref(self) -> GenerationRef:
        """Which one it is."""
        return self.lent.ref

    def closeness(self, one: str, other: str) -> float:
        """Return how close two questions are, as ``Searcher.closeness``."""
        return self.lent.closeness(one, other)

    def search(
        self, question: str, *, top_k: int, legs: frozenset[Leg] = BOTH_LEGS
    ) -> SearchResult:
        """Return the best passages, as ``Searcher.search``."""
        ref = self.ref
        # The letters of the question as they are: encoders tell capitals from small ones.
        key = (ref.kb, ref.generation, ref.digest, question, top_k, legs)
        known = self.found.get(key)
        self.count("hit" if known is not None else "miss")
        if known is not None:
            return known
        result = self.lent.search(question, top_k=top_k, legs=legs)
        if not result.words_alone:  # the encoder may answer the next time
            self.found.put(key, result)
        return result


def _size(key: _Key, result: SearchResult) -> int:
    texts = sum(len(hit.passage.text) + len(hit.passage.title) for hit in result.hits)
    characters = texts + len(key[3])
    return _RESULT_BYTES + _PASSAGE_BYTES * len(result.hits) + _CHARACTER_BYTES * characters
