"""How close questions are to each other in meaning, many at once."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import structlog

from kotaemon_node.ports.encoder import Encoder, EncoderUnavailable, is_elsewhere

_log = structlog.get_logger(__name__)


class QuestionCloseness:
    """``engine.drafting.Closeness`` by an encoder. Thread safe."""

    def __init__(self, encoder: Encoder, *, compute: Callable[..., Any]) -> None:
        """``compute`` runs what computes away from the serving loop."""
        self._encoder = encoder
        self._compute = compute

    def __call__(self, questions: Sequence[str]) -> Sequence[Sequence[float]]:
        """Return the (n, n) cosines, the least of shared spaces; -1.0 where none is shared.

        All of them are -1.0 while an encoder elsewhere does not answer.
        """
        encode = self._encoder.encode_queries
        try:
            found = (
                encode(questions)
                if is_elsewhere(self._encoder)
                else self._compute(encode, questions)
            )
        except EncoderUnavailable as error:
            _log.info("drafts_not_compared", reason=str(error))
            found = {}
        size = len(questions)
        closest = np.full((size, size), np.inf, dtype=np.float32)
        for space in found.values():
            here = np.ix_(space.positions, space.positions)
            closest[here] = np.minimum(closest[here], space.vectors @ space.vectors.T)
        closest[np.isinf(closest)] = -1.0
        rows: list[list[float]] = closest.tolist()
        return rows
