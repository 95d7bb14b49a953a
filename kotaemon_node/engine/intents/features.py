"""A text as numbers: its vectors by the encoder, and a sketch of its letters.

Vectors know meanings, letters know typos, names and what a small encoder cannot tell apart. Letters
are pieces of words, in Chinese one to three signs, hashed with signs into a fixed number of places
(the hashing trick): inner products of sketches are about those of the pieces themselves.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.language import language_of
from kotaemon_node.engine.intents.expressions import plain

Vectors = Mapping[str, NDArray[np.float32]]
"""Space to the vector of one text in it, (dimension,), of length 1; a text has one or more."""

SKETCH_PLACES: Final = 1024
# Pieces count half of what vectors do (0.7² of 1). Between 0.5 and 1.0 accuracies hardly change,
# with 5 and with 10 examples an intent (load/results/intents.md).
SKETCH_WEIGHT: Final = 0.7
_CHARS_MAX: Final = 300
"""Of a text in its sketch: a thousand pieces, a quarter of a millisecond."""
_PIECES: Final = {"en": (3, 4), "zh": (1, 2, 3)}
_DIGIT: Final = re.compile(r"\d")
_SIGN_BIT: Final = 1 << 31
_NUMBER: Final = re.compile(r"#?\d{2,}")


def unnumbered(text: str) -> str:
    """Return ``text`` without its numbers: which order is meant says nothing of what is wanted.

    "Where is order 1001?" and "where is my order" are far apart for a small encoder, which reads
    digits as words. What is a number and nothing else stays.
    """
    left = " ".join(_NUMBER.sub(" ", text).split())
    return left if re.search(r"\w", left) else text


def sketch(text: str) -> NDArray[np.float32]:
    """Return (SKETCH_PLACES,) of length 1; zeros where the text has no letters."""
    found = np.zeros(SKETCH_PLACES, np.float32)
    for piece in _pieces(text):
        number = zlib.crc32(piece.encode("utf-8"))
        found[number % SKETCH_PLACES] += 1.0 if number & _SIGN_BIT else -1.0
    length = float(np.linalg.norm(found))
    return found / length if length else found


def _pieces(text: str) -> set[str]:
    said = plain(text[:_CHARS_MAX]).folded.lower()
    words = _DIGIT.sub("0", said).split()  # which order is meant says nothing of what is wanted
    line = f" {' '.join(words)} "
    lengths = _PIECES[language_of(text)]
    pieces = {line[at : at + n] for n in lengths for at in range(len(line) - n + 1)}
    return {*pieces, *(f"\x00{word}" for word in words)}


class Features:
    """Lays vectors of several spaces and the sketch side by side: rows for a linear classifier."""

    def __init__(self, spaces: Mapping[str, int]) -> None:
        """``spaces``: those of the encoder, with their dimensions."""
        self.spaces = dict(spaces)
        self._slices: dict[str, slice] = {}
        start = 0
        for space, dimension in sorted(spaces.items()):
            self._slices[space] = slice(start, start + dimension)
            start += dimension
        self.meaning = start
        """So many places hold vectors; the sketch follows, and a one."""
        self.places = start + SKETCH_PLACES + 1

    @property
    def slices(self) -> Sequence[slice]:
        """The places of each space."""
        return list(self._slices.values())

    def row(self, text: str, vectors: Vectors) -> NDArray[np.float32]:
        """Return (places,) of a text."""
        found = np.zeros(self.places, np.float32)
        for space, vector in vectors.items():
            found[self._slices[space]] = vector
        found[self.meaning : -1] = SKETCH_WEIGHT * sketch(text)
        found[-1] = 1.0
        return found
