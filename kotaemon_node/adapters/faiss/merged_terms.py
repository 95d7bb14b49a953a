"""Merges lexicons into one without analysing a text again, in memory that does not follow the rows.

What is kept in memory is a few numbers for each term and for each row; postings are moved in blocks
from mapped files into a mapped file. Equal rows in an equal order give the bytes that ``writer``
gives for all of them at once.
"""

import heapq
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import layout
from kotaemon_node.adapters.faiss.lexicon import Lexicon

# Postings moved at once: 50 bytes each while they are on their way.
_BLOCK: Final = 1 << 20
_TERMS_BETWEEN_LOOKS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class TermSource:
    """A lexicon, and which of its rows go where."""

    lexicon: Lexicon
    new_rows: NDArray[np.int32]
    """(rows of the lexicon,) the new number of each row, increasing; -1 where it is left out."""


def write_merged(folder: Path, sources: Sequence[TermSource], *, alive: Callable[[], None]) -> None:
    """Write the three files of a lexicon; rows of a later source stand behind those of earlier."""
    kept = [_kept(source, alive) for source in sources]
    lengths = _write_terms(folder, kept, alive)
    totals = np.zeros(len(lengths), dtype=np.int64)
    for one in kept:
        totals[one.places] += one.held[one.used]
    offsets = np.zeros((2, len(lengths) + 1), dtype="<i8")
    np.cumsum(lengths, out=offsets[0, 1:])
    np.cumsum(totals, out=offsets[1, 1:])
    (folder / layout.TERM_OFFSETS).write_bytes(offsets.tobytes())
    _write_postings(folder / layout.POSTINGS, kept, offsets[1], alive)


@dataclass(slots=True)
class _Kept:
    """What of a source goes into the new lexicon."""

    source: TermSource
    held: NDArray[np.int64]
    """(terms,) how many rows that are kept hold each term."""
    used: NDArray[np.int64]
    """The terms that at least one holds."""
    places: NDArray[np.int32]
    """The new places of these."""


def _kept(source: TermSource, alive: Callable[[], None]) -> _Kept:
    held = _held(source, alive)
    return _Kept(source, held, np.flatnonzero(held), np.zeros(0, dtype=np.int32))


def _held(source: TermSource, alive: Callable[[], None]) -> NDArray[np.int64]:
    """Return (terms,) how many rows that are kept hold each term."""
    lexicon = source.lexicon
    counts = np.zeros(len(lexicon.posting_offsets) - 1, dtype=np.int64)
    for first, last in _blocks(lexicon.posting_offsets):
        alive()
        start, end = lexicon.posting_offsets[first], lexicon.posting_offsets[last]
        kept = source.new_rows[lexicon.rows[start:end]] >= 0
        before = np.zeros(len(kept) + 1, dtype=np.int64)
        np.cumsum(kept, out=before[1:])
        cuts = lexicon.posting_offsets[first : last + 1] - start
        counts[first:last] = before[cuts[1:]] - before[cuts[:-1]]
    return counts


def _write_terms(
    folder: Path, kept: Sequence[_Kept], alive: Callable[[], None]
) -> NDArray[np.int64]:
    """Write the terms, note of each source the new places of its own, and return all lengths."""
    places = [array("i") for _ in kept]
    lengths = array("q")
    named = [_named(one, at) for at, one in enumerate(kept)]
    last = None
    with (folder / layout.TERMS).open("wb") as file:
        # UTF-8 sorts like code points, so the reader may compare bytes.
        for number, (term, at) in enumerate(heapq.merge(*named)):
            if number % _TERMS_BETWEEN_LOOKS == 0:
                alive()
            if term != last:
                file.write(term)
                lengths.append(len(term))
                last = term
            places[at].append(len(lengths) - 1)
    for one, found in zip(kept, places, strict=True):
        one.places = np.frombuffer(found, dtype=np.int32)
    return np.frombuffer(lengths, dtype=np.int64)


def _named(one: _Kept, at: int) -> Iterator[tuple[bytes, int]]:
    for term in one.used:
        yield one.source.lexicon.term(term), at


def _write_postings(
    path: Path, kept: Sequence[_Kept], offsets: NDArray[np.int64], alive: Callable[[], None]
) -> None:
    postings = int(offsets[-1])
    with path.open("wb") as file:
        layout.make_room(file, 8 * postings)
    if not postings:
        return
    # Pages of a file: the kernel writes them back where memory is short.
    out = np.memmap(path, dtype="<i4", mode="r+", shape=(2, postings))
    free = offsets[:-1].copy()
    for one in kept:
        lexicon = one.source.lexicon
        for first, last in _blocks(lexicon.posting_offsets):
            alive()
            start, end = lexicon.posting_offsets[first], lexicon.posting_offsets[last]
            new = one.source.new_rows[lexicon.rows[start:end]]
            lives = new >= 0
            low, high = np.searchsorted(one.used, (first, last))
            places, many = one.places[low:high], one.held[one.used[low:high]]
            # Where each posting goes: its term's next free place, then the one behind it.
            begins = np.repeat(free[places] - (np.cumsum(many) - many), many)
            to = begins + np.arange(len(begins))
            out[0, to] = new[lives]
            out[1, to] = lexicon.counts[start:end][lives]
            free[places] += many
    out.flush()


def _blocks(offsets: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of runs of terms with about ``_BLOCK`` postings together."""
    first, terms = 0, len(offsets) - 1
    while first < terms:
        last = int(np.searchsorted(offsets, offsets[first] + _BLOCK, side="right")) - 1
        last = min(max(last, first + 1), terms)
        yield first, last
        first = last
