"""A sentence-transformers cross-encoder in this process (extra ``torch``).

The only module of the package that imports torch, so import it only when it is asked for.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kotaemon_node.adapters.reranker.errors import RerankerSetupError
from kotaemon_node.domain.limits import RERANK_TIMEOUT_S
from kotaemon_node.ports.reranker import RerankerFailed

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_BATCH: Final = 4  # between batches the time is looked at; larger ones are hardly quicker on a CPU
_TOKENS_MAX: Final = 512  # of question and passage together; what passages are cut to
_CHARS_MAX: Final = 16 * _TOKENS_MAX
# Who comes while so many wait for the model would wait in vain.
_WAITING_MAX: Final = 4


def load_cross_encoder(
    name: str, *, model_dir: Path, threads: int, compute: Callable[..., Any]
) -> "LocalCrossEncoder":
    """Load a model by name or folder; ``model_dir/<name>`` is taken before the network is asked.

    Raises ``RerankerSetupError``.
    """
    try:
        import torch  # noqa: PLC0415
        from sentence_transformers import CrossEncoder  # noqa: PLC0415
    except ImportError as error:
        raise RerankerSetupError(
            "RERANK_MODEL needs the extra: pip install 'kotaemon-cluster[torch]'."
        ) from error
    folder = model_dir / name
    installed = (folder / "config.json").is_file()
    torch.set_num_threads(threads)
    try:
        model = CrossEncoder(
            str(folder) if installed else name, max_length=_TOKENS_MAX, local_files_only=installed
        )
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise RerankerSetupError(f"RERANK_MODEL {name} cannot be loaded: {reason}") from error
    if model.num_labels != 1:
        raise RerankerSetupError(
            f"RERANK_MODEL {name} tells {model.num_labels} classes, and no score of a passage"
        )
    return LocalCrossEncoder(model, name=name, compute=compute)


class LocalCrossEncoder:
    """One model; questions wait for it in turn, and not for long."""

    def __init__(
        self,
        model: "CrossEncoder",
        *,
        name: str,
        compute: Callable[..., Any],
        timeout_s: float = RERANK_TIMEOUT_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._name = name.rstrip("/").rpartition("/")[2]
        self._compute = compute
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._lock = threading.Lock()
        self._waiting = 0

    @property
    def name(self) -> str:
        return self._name

    def scores(self, question: str, passages: Sequence[str]) -> Sequence[float]:
        if not passages:
            return ()
        with self._lock:
            if self._waiting >= _WAITING_MAX:
                raise RerankerFailed("too many questions wait for the cross-encoder")
            self._waiting += 1
        try:
            deadline_s = self._now_s() + self._timeout_s
            found: Sequence[float] = self._compute(self._scored, question, passages, deadline_s)
        finally:
            with self._lock:
                self._waiting -= 1
        if not np.isfinite(found).all():
            raise RerankerFailed("the cross-encoder said what is no number")
        return found

    def _scored(self, question: str, passages: Sequence[str], deadline_s: float) -> Sequence[float]:
        pairs = [(_readable(question), _readable(passage)) for passage in passages]
        scores: list[float] = []
        for start in range(0, len(pairs), _BATCH):
            if self._now_s() > deadline_s:
                raise RerankerFailed("the cross-encoder takes too long")
            batch = pairs[start : start + _BATCH]
            try:
                found = self._model.predict(batch, batch_size=_BATCH, show_progress_bar=False)
            except RuntimeError as error:  # torch's own for a device without memory, and others
                reason = str(error).partition("\n")[0]
                raise RerankerFailed(f"the cross-encoder failed: {reason}") from error
            scores += found.tolist()
        return scores


def _readable(text: str) -> str:
    """Return what of ``text`` a tokenizer may need; a lone surrogate becomes ``?``."""
    return text[:_CHARS_MAX].encode("utf-8", "replace").decode("utf-8")
