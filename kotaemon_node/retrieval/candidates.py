"""Which rows can be among the best of a question, without scoring all that hold one of its words.

H. Turtle, J. Flood: Query Evaluation: Strategies and Optimizations (1995), "max score": terms are
taken from the weightiest to the lightest. What the rest of them can add to any row is bounded. Once
the k-th best row has more than that, a row that holds only the rest cannot get in, and the long
lists of common words are only looked up for the rows that still can.

Sums here are of single precision, in another order than the scores that are told: what is left out
is worse by more than the rounding of both.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.retrieval.generation import BM25_K1, Part

# Sums of a hundred terms are right within 1e-5 of their size.
_ROUNDING: Final = 1e-4
# A look-up in a sorted list costs as much as reading so many of its entries.
_LOOK_UP_ENTRIES: Final = 12
_TINY: Final = float(np.finfo(np.float32).tiny)
# Before a longer list is read, so many times k rows are looked up in all that are left.
_LONG_ENTRIES: Final = 10_000
_AHEAD: Final = 4
# Sums of searches that ended, all 0 again: fresh memory of millions of rows costs a millisecond.
_SUMS_KEPT: Final = 4
_kept: deque[NDArray[np.float32]] = deque(maxlen=_SUMS_KEPT)


Postings = tuple[NDArray[np.int32], NDArray[np.int32]]
"""(rows, counts) of a term: rows numbered within the segment and increasing."""


@dataclass(frozen=True, slots=True)
class PartPostings:
    """What a part has of the terms of a question."""

    part: Part
    weights: Sequence[float]
    """What each term weighs."""
    found: Sequence[Postings]
    """Which rows hold each term and how often, dead ones among them."""

    def all(self) -> Iterator[tuple[float, Postings]]:
        """Yield weight and postings of the terms that the part has, in their order."""
        both = zip(self.weights, self.found, strict=True)
        return ((weight, postings) for weight, postings in both if len(postings[0]))

    def live(self) -> Iterator[tuple[float, Postings]]:
        """Yield the same without dead rows."""
        if not self.part.dead:
            yield from self.all()
            return
        for weight, (rows, counts) in self.all():
            lives = self.part.are_live(rows)
            yield weight, (rows[lives], counts[lives])


def candidate_rows(
    parts: Sequence[PartPostings], norm: NDArray[np.float64], k: int, *, bar: float
) -> NDArray[np.int64]:
    """Return live rows of ``parts``, increasing, with all that are among the best ``k``.

    The best are those above ``bar``, a score that the last of them has at least, and those equal
    to it; all hold a term. ``norm`` is the generation's ``bm25_norm``.
    """
    terms = range(len(parts[0].weights))
    search = _Search(parts, norm, k, bar)
    try:
        return search.run(sorted(terms, key=lambda term: -parts[0].weights[term]))
    finally:
        search.close()


class _Search:
    """The sums of one question, and what the k-th best row has at least."""

    def __init__(
        self, parts: Sequence[PartPostings], norm: NDArray[np.float64], k: int, bar: float
    ) -> None:
        self._parts = parts
        self._norm = norm.astype(np.float32)
        self._k = k
        self._bar = bar
        self._rows = max(it.part.end for it in parts)
        self._sums = _sums_for(self._rows)
        self._read: list[NDArray[np.int32]] = []
        """Rows that have a sum; one of two terms is in it twice."""
        self._entries = 0
        """The length of them all."""

    def run(self, terms: Sequence[int]) -> NDArray[np.int64]:
        """Return the rows that can be among the best; ``terms`` begin with the weightiest."""
        weights = self._parts[0].weights
        most = [(BM25_K1 + 1) * weights[term] for term in terms]
        rows: NDArray[np.int32] | None = None
        for number, term in enumerate(terms):
            rest = sum(most[number:])
            if rows is None and self._lowest <= rest and self._is_long(term):
                self._look_ahead(terms[number:])
            if rows is None and self._lowest > rest:
                rows = self._reaching(rest)
            rest = sum(most[number + 1 :])
            if rows is None or len(rows) * _LOOK_UP_ENTRIES > self._holding(term):
                self._add_all(term)
            else:
                self._add_to(rows, term)
            if rows is not None:
                self._raise_bar(self._sums[rows])
                rows = rows[self._sums[rows] + rest >= self._lowest]
        if rows is None:
            rows = self._reaching(0.0)
        self._raise_bar(self._sums[rows])
        return rows[self._sums[rows] >= self._lowest].astype(np.int64)

    def _holding(self, term: int) -> int:
        return sum(len(it.found[term][0]) for it in self._parts)

    def _is_long(self, term: int) -> bool:
        return self._entries > 0 and self._holding(term) > _LONG_ENTRIES

    def _look_ahead(self, terms: Sequence[int]) -> None:
        """Raise the bar to what the best rows until now will have in the end.

        That is soon high where their sums are still low, and saves the reading of long lists.
        """
        rows = self._reaching(0.0)
        if len(rows) > _AHEAD * self._k:
            chosen = np.argpartition(self._sums[rows], -_AHEAD * self._k)[-_AHEAD * self._k :]
            rows = np.sort(rows[chosen])
        sums = self._sums[rows]
        for it in self._parts:
            start, end = np.searchsorted(rows, (it.part.first, it.part.end))
            local = rows[start:end] - np.int32(it.part.first)
            norm = self._norm[it.part.segment.lengths[local]]
            for term in terms:
                at, places = matches(local, it.found[term][0])
                often = it.found[term][1][places].astype(np.float32)
                gain = np.float32((BM25_K1 + 1) * it.weights[term]) * often / (often + norm[at])
                sums[start:end][at] += gain
        self._raise_bar(sums)

    def close(self) -> None:
        """Keep the sums for another search."""
        if self._entries > len(self._sums) // 4:
            self._sums[: self._rows] = 0
        else:
            for rows in self._read:
                self._sums[rows] = 0
        _kept.append(self._sums)

    @property
    def _lowest(self) -> float:
        return self._bar * (1 - _ROUNDING)

    def _add_all(self, term: int) -> None:
        for it in self._parts:
            rows, counts = it.found[term]
            if it.part.dead:
                lives = it.part.are_live(rows)
                rows, counts = rows[lives], counts[lives]
            self._add(it, term, rows, counts)

    def _add_to(self, wanted: NDArray[np.int32], term: int) -> None:
        """Add what a term gives to the rows ``wanted``, which increase."""
        for it in self._parts:
            start, end = np.searchsorted(wanted, (it.part.first, it.part.end))
            inside = wanted[start:end] - np.int32(it.part.first)
            rows, counts = it.found[term]
            at, places = matches(inside, rows)
            self._add(it, term, inside[at], counts[places])

    def _add(
        self, it: PartPostings, term: int, rows: NDArray[np.int32], counts: NDArray[np.int32]
    ) -> None:
        if not len(rows):
            return
        often = counts.astype(np.float32)
        gain = often * np.float32((BM25_K1 + 1) * it.weights[term])
        often += self._norm[it.part.segment.lengths[rows]]
        gain /= often
        of_part = self._sums[it.part.first : it.part.end]
        gain += of_part[rows]
        of_part[rows] = gain
        self._read.append(rows + np.int32(it.part.first) if it.part.first else rows)
        self._entries += len(rows)
        self._raise_bar(gain)

    def _raise_bar(self, sums: NDArray[np.float32]) -> None:
        """Learn from the ``sums`` of some rows, each in it once."""
        higher = sums[sums > self._bar]
        if len(higher) >= self._k:
            self._bar = float(np.partition(higher, len(higher) - self._k)[len(higher) - self._k])

    def _reaching(self, rest: float) -> NDArray[np.int32]:
        """Return the rows, increasing, that ``rest`` may bring among the best."""
        # Looking through the sums of all rows takes less time than finding out which were read.
        least = max(self._lowest - rest, _TINY)
        return np.flatnonzero(self._sums[: self._rows] >= np.float32(least)).astype(np.int32)


def matches(
    wanted: NDArray[np.int32], rows: NDArray[np.int32]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which of ``wanted`` are in ``rows``, and where there; both increase, by places."""
    if not len(rows):
        nothing = np.zeros(0, dtype=np.intp)
        return nothing, nothing
    places = rows.searchsorted(wanted)
    places[places == len(rows)] = 0
    at = np.flatnonzero(rows[places] == wanted)
    return at, places[at]


def _sums_for(rows: int) -> NDArray[np.float32]:
    while _kept:
        try:
            sums = _kept.pop()
        except IndexError:  # another thread took the last one
            break
        if len(sums) >= rows:
            return sums
    return np.zeros(rows, dtype=np.float32)
