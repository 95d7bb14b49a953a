"""What of a passage is indexed, and whether an encoder is the one that encoded it."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import Passage
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.segments import Segment
from kotaemon_node.retrieval.generation import OpenGeneration

_PASSAGES_TRIED: Final = 4
# The same model on another machine gives 0.999, another model of this size about 0. The best of the
# tried decides: a passage that an older release indexed with other headings says nothing.
_SAME_MODEL_MIN: Final = 0.95


def indexed_text(passage: Passage) -> str:
    """Return what is encoded and indexed for a passage: its title, headings and text.

    A passage "within 14 days" under "Returns" is about returns, though it never says so. An FAQ
    entry says itself what it is about; the name of its file would only blur it (ADR 0005).
    """
    title = () if passage.kind == "faq" else (passage.title,)
    above = dict.fromkeys((*title, *passage.heading))
    return "\n".join((*filter(None, above), passage.text))


Indexed = tuple[Passage, Mapping[str, NDArray[np.float32]]]
"""A passage and its vectors by space."""


def some_of_generation(generation: OpenGeneration) -> Sequence[Indexed]:
    """Return passages from all over a generation."""
    rows = generation.sample(_PASSAGES_TRIED)
    return [(generation.passage(row), generation.vector(row)) for row in rows]


def some_of_segment(segment: Segment) -> Sequence[Indexed]:
    """Return passages from all over a segment, dead ones among them."""
    tried = min(_PASSAGES_TRIED, segment.passages)
    rows = np.linspace(0, segment.passages - 1, num=tried, dtype=np.int64).tolist()
    return [(segment.passage(row), segment.vector(row)) for row in rows]


def check_same_model(some: Sequence[Indexed], encoder: Encoder) -> None:
    """Encode passages anew and compare. Raises ``CorruptArtifact``, and what encoding does.

    For an encoder elsewhere, of which nobody here knows what computes behind its address.
    """
    encoded = encoder.encode_passages([indexed_text(passage) for passage, _ in some])
    cosines = [
        float(vector @ some[position][1][space])
        for space, found in encoded.items()
        for position, vector in zip(found.positions.tolist(), found.vectors, strict=True)
        if space in some[position][1]
    ]
    if not max(cosines, default=1.0) >= _SAME_MODEL_MIN:
        raise CorruptArtifact(
            "the encoder elsewhere is not the model that its passages were encoded by: see what"
            " ENCODER_URL serves under this name"
        )
