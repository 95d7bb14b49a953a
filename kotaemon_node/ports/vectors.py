"""A server that holds the vectors of segments and finds the nearest of them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.errors import Unavailable


class VectorsUnavailable(Unavailable):
    """The vector store does not answer, refuses us or is of no use; a later try may succeed.

    Its message is one sentence for whoever runs the cluster; it holds no credential.
    """


@dataclass(frozen=True, slots=True)
class VectorSet:
    """The vectors of one segment in one space, each under the number of its row.

    What belongs to this name never changes: a segment is named by its content.
    """

    tenant: str
    kb: str
    space: str
    segment: str
    dimension: int


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of one set."""

    of: VectorSet
    vectors: int
    """How many the set has, by the segment: an answer of more or fewer says nothing."""
    k: int
    """How many of them are wanted, at least 1."""


VectorBlock = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Rows (n,), each once in a set, and their vectors (n, dimension)."""


class VectorSearch(Protocol):
    """The side of the pods. May be used by many tasks at once."""

    def nearest(
        self, asks: Sequence[Ask], vector: NDArray[np.float32]
    ) -> Mapping[VectorSet, NDArray[np.int64]]:
        """Return for each set the rows nearest to ``vector`` (dimension,) by inner product.

        They are the nearest ones as far as an approximate index finds them, min(k, vectors) of
        them, closest first by its own reckoning. A set that is not there whole at the moment of
        the answer is left out. All sets are of the dimension of ``vector``. Bounded in time; raises
        ``VectorsUnavailable``.
        """
        ...


class VectorStore(VectorSearch, Protocol):
    """The side of the coordinator that leads. Each call raises ``VectorsUnavailable``.

    Any call may be repeated: what it did already it does not do again.
    """

    def check(self) -> None:
        """Return when the store answers and is one that we can use."""
        ...

    def sizes(self, sets: Collection[VectorSet]) -> Mapping[VectorSet, int]:
        """Return how many vectors each set has; those that are not there are left out.

        Of a set whose writing was broken off the number is another one than it was to have.
        """
        ...

    def write(self, of: VectorSet, blocks: Iterable[VectorBlock]) -> None:
        """Make the set of these vectors, and no others; what there was of it goes first.

        When this returns they are found, and stay where the server dies. Raises what ``blocks``
        raises; then, as after any failure, the set is not whole.
        """
        ...

    def keep_only(self, tenant: str, kb: str, segments: Collection[str]) -> int:
        """Remove all sets of the knowledge base but those of ``segments``; return how many."""
        ...
