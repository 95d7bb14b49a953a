"""Whether an encoder gives the vectors of its full-precision model, tried on a few probes.

Files are checked by their checksums. What those cannot show is a runtime that computes something
else on this machine: another build of onnxruntime, a processor without the instructions that its
kernels were tried with, another version of the tokenizer. Then a pod would find the wrong passages
and nobody would see why, so it does not start.
"""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.adapters.encoder.errors import EncoderSetupError
from kotaemon_node.ports.encoder import Encoder

PROBES_FILE: Final = Path(__file__).with_name("probes.json")
"""Made by ``python -m scripts.encoder_probes``."""

AGREEMENT_MIN: Final = 0.98
"""Cosine. Int8 weights alone cost up to 0.016 on these probes; a fault costs far more."""

Told = Callable[[str, float], None]
"""Called with a model's name and the lowest cosine of its probes."""


def tell_nobody(_model: str, _cosine: float) -> None:
    """Be ``Told`` where nobody counts."""


class EncoderDisagrees(EncoderSetupError):
    """The encoder computes other vectors than its model does."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A text, and its vector by the full-precision model."""

    kind: Literal["query", "passage"]
    text: str
    vector: NDArray[np.float32]
    """(dimension,), of length 1."""


def probes_of(model: str) -> Sequence[Probe]:
    """Return the probes of a model of the catalogue; none where its weights could not be had."""
    return _probes().get(model, ())


@lru_cache(maxsize=1)
def _probes() -> dict[str, tuple[Probe, ...]]:
    kept = json.loads(PROBES_FILE.read_text(encoding="utf-8"))
    return {
        model: tuple(Probe(row["kind"], row["text"], _unit(row["vector_float16"])) for row in rows)
        for model, rows in kept.items()
    }


def _unit(kept: str) -> NDArray[np.float32]:
    vector = np.frombuffer(base64.b64decode(kept), dtype="<f2").astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def agreements(encoder: Encoder, probes: Sequence[Probe]) -> Sequence[float]:
    """Return the cosine of each probe, by an encoder of one space."""
    found = []
    for probe in probes:
        encode = encoder.encode_queries if probe.kind == "query" else encoder.encode_passages
        (rows,) = encode([probe.text]).values()
        vector = rows.vectors[0]
        same_size = vector.shape == probe.vector.shape
        found.append(float(vector @ probe.vector) if same_size else 0.0)
    return found


def check_agreement(encoder: Encoder, model: str, told: Told) -> None:
    """Try the model's probes. Raises ``EncoderDisagrees``; a model without probes passes."""
    probes = probes_of(model)
    if not probes:
        return
    cosines = agreements(encoder, probes)
    lowest = min(cosines)
    told(model, lowest)
    # Written this way round, a vector that is not a number fails.
    if not lowest >= AGREEMENT_MIN:
        failed = sum(not cosine >= AGREEMENT_MIN for cosine in cosines)
        raise EncoderDisagrees(
            f"{model} as computed here is not the model it should be: {failed} of {len(probes)}"
            f" probes have a cosine below {AGREEMENT_MIN} with its full-precision vectors (lowest"
            f" {lowest:.3f}). Install onnxruntime and tokenizers at the versions of"
            " requirements/*.lock, or start on another machine, or take ENCODER_BACKEND=torch."
        )
