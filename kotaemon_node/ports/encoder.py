"""Texts to vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.errors import Unavailable


class EncoderUnavailable(Unavailable):
    """An encoder elsewhere does not answer, or not as it should; later it may."""


@dataclass(frozen=True, slots=True)
class SpaceVectors:
    """Vectors of one space: row ``r`` belongs to text number ``positions[r]`` of the call."""

    positions: NDArray[np.int64]
    """(n,) increasing."""
    vectors: NDArray[np.float32]
    """(n, dimension), C-contiguous, each row of length 1 within 1e-3."""


class Encoder(Protocol):
    """Turns texts into unit vectors whose inner product is their closeness.

    An encoder has one or more *spaces*: vectors of different spaces must never be compared. An
    encoder with several spaces (one model a language) decides by the text which spaces it goes to;
    each text goes to at least one. The same text gives the same vector, whatever else is in the
    call, within 1e-3 in each component. Texts longer than the model's window are cut; an empty
    text is legal. Thread safe; blocks the calling thread while it computes.
    """

    @property
    def name(self) -> str:
        """Identity in manifests: two encoders of one name give the same vectors."""
        ...

    @property
    def spaces(self) -> Mapping[str, int]:
        """Space name to dimension. A space name matches ``domain.ids.ID_PATTERN``."""
        ...

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        """Return the vectors of texts to be found, by space; spaces without a text may lack."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        """Return the vectors of questions, by space, with the model's query prefix if any."""
        ...


def is_elsewhere(encoder: Encoder) -> bool:
    """Tell whether calls wait for a server instead of computing: they need no native thread.

    Such an encoder says ``elsewhere = True``. Its calls must run where tasks wait, since they use
    sockets, and may raise ``EncoderUnavailable``.
    """
    return bool(getattr(encoder, "elsewhere", False))
