"""The dense leg, asked of a vector store before a search computes.

The segments' files hold the same vectors, so the store may be away: then a search reads those, and
finds what it would have found, later. Law 1: what the store says are candidates; how close they are
is reckoned from the files. Law 2: a failure is paid for once; until a later try succeeds searches
do not wait for the store.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final, Literal

import numpy as np
import structlog
from numpy.typing import NDArray

from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.vectors import Ask, VectorSearch, VectorSet, VectorsUnavailable
from kotaemon_node.retrieval.dense import Candidates, EncodedQuestion, asked_of
from kotaemon_node.retrieval.generation import OpenGeneration

_log = structlog.get_logger(__name__)

_RETRY_FIRST_S: Final = 0.5
_RETRY_MAX_S: Final = 15.0

Outcome = Literal["store", "partly", "files"]
"""Where a search found its neighbours: all there, some, or none."""


@dataclass(slots=True)
class _Trouble:
    """Since when the store is not asked, and until when."""

    reason: str
    wait_s: float
    until_s: float


class Neighbours:
    """Asks one vector store on behalf of all searches of a process. Thread safe."""

    def __init__(
        self,
        store: VectorSearch,
        *,
        clock: Clock,
        count: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        """``count`` is told of each search that had something to ask."""
        self._store = store
        self._clock = clock
        self._count = count
        self._lock = Lock()
        self._trouble: _Trouble | None = None

    @property
    def problem(self) -> str:
        """Why the store is not asked now, for people; "" where it is."""
        with self._lock:
            return self._trouble.reason if self._trouble else ""

    def find(self, generation: OpenGeneration, question: EncodedQuestion, k: int) -> Candidates:
        """Return what the store finds of ``question``; segments that lack are read from files.

        It waits for the store, so it must not be called from a native thread of a pod.
        """
        asks = _asks(generation, question, k)
        wanted = sum(map(len, asks.values()))
        if not wanted:
            return {}
        found = self._found(asks, question) if self._may_ask() else {}
        self._count("store" if len(found) == wanted else "partly" if found else "files")
        return found

    def _found(self, asks: Mapping[str, list[Ask]], question: EncodedQuestion) -> Candidates:
        found: dict[tuple[str, str], NDArray[np.int64]] = {}
        try:
            for space, of_space in asks.items():
                for at, rows in self._store.nearest(of_space, question[space]).items():
                    found[at.segment, space] = rows
        except VectorsUnavailable as error:
            self._failed(str(error))
            return {}
        self._answered()
        return found

    def _may_ask(self) -> bool:
        """Tell whether the store is to be asked: by all, or by one at a time after a failure."""
        with self._lock:
            if self._trouble is None:
                return True
            now_s = self._clock.monotonic_s()
            if now_s < self._trouble.until_s:
                return False
            # Whoever comes while this one finds out goes to the files.
            self._trouble.until_s = now_s + self._trouble.wait_s
            return True

    def _failed(self, reason: str) -> None:
        with self._lock:
            wait_s = _RETRY_FIRST_S
            if self._trouble is not None:
                wait_s = min(_RETRY_MAX_S, 2 * self._trouble.wait_s)
            else:
                _log.warning("vector_store_away", reason=reason)
            until_s = self._clock.monotonic_s() + wait_s
            self._trouble = _Trouble(reason, wait_s, until_s)

    def _answered(self) -> None:
        with self._lock:
            if self._trouble is not None:
                _log.info("vector_store_back")
            self._trouble = None


def _asks(generation: OpenGeneration, question: EncodedQuestion, k: int) -> Mapping[str, list[Ask]]:
    """Return by space what there is to ask of the segments of a generation."""
    manifest = generation.manifest
    asks: dict[str, list[Ask]] = {}
    for space, vector in question.items():
        for part in generation.parts:
            vectors = part.segment.vectors.get(space, 0)
            if vectors:
                of = VectorSet(
                    tenant=manifest.tenant,
                    kb=manifest.kb,
                    space=space,
                    segment=part.segment.name,
                    dimension=len(vector),
                )
                asks.setdefault(space, []).append(Ask(of, vectors, k=asked_of(part, k)))
    return asks
