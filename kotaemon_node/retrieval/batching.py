"""Encodes questions: at once when nothing runs, together what came meanwhile.

A question that finds the encoder idle leads: its own thread encodes it. Questions that come while a
batch runs wait; when it is done the first of them leads the next batch with all that wait. So there
is no delay to collect a batch, no thread of its own, and the batch grows with the load.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from threading import Event, Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.errors import Overloaded, Unavailable
from kotaemon_node.ports.encoder import Encoder, SpaceVectors
from kotaemon_node.retrieval.dense import EncodedQuestion

BATCH_QUESTIONS_MAX: Final = 32
# At 5 ms a question the last of a full queue waits some 3 s, a third of the time to first text.
WAITING_QUESTIONS_MAX: Final = 512


class _Waiting:
    """Questions of one call on their way; ``leads`` is set when their turn to run has come."""

    __slots__ = ("error", "leads", "questions", "ready", "vectors")

    def __init__(self, questions: Sequence[str]) -> None:
        self.questions = questions
        self.ready = Event()
        self.leads = False
        self.vectors: Sequence[EncodedQuestion] | None = None
        self.error: Exception | None = None


class QuestionEncoder:
    """Encodes single questions in batches. Thread safe."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        compute: Callable[..., Any],
        waiting_max: int = WAITING_QUESTIONS_MAX,
    ) -> None:
        """``compute`` is that of ``ports.runtime.Tasks``."""
        self._encoder = encoder
        self._compute = compute
        self._waiting_max = waiting_max
        self._lock = Lock()
        self._running = False
        self._queue: deque[_Waiting] = deque()
        self._waiting = 0
        """Questions in the queue."""

    def encode(self, question: str) -> EncodedQuestion:
        """Return the question's vectors by space.

        Raises ``Overloaded`` when too many wait, and what the encoder raised for the batch.
        """
        return self.encode_all([question])[0]

    def encode_all(self, questions: Sequence[str]) -> Sequence[EncodedQuestion]:
        """Return the vectors of each, as ``encode``; at most ``BATCH_QUESTIONS_MAX`` of them."""
        mine = _Waiting(questions)
        with self._lock:
            if self._waiting + len(questions) > self._waiting_max:
                raise Overloaded("too many questions wait for the encoder")
            self._queue.append(mine)
            self._waiting += len(questions)
            leads = not self._running
            self._running = True
        if not leads:
            self._wait(mine)
            leads = mine.leads
        if leads:
            self._run_batch()
        if mine.error is not None:
            raise mine.error
        if mine.vectors is None:
            # The task that led the batch was ended from outside.
            raise Unavailable("the encoder was interrupted")
        return mine.vectors

    def _wait(self, mine: _Waiting) -> None:
        try:
            mine.ready.wait()
        except BaseException:
            # This task is being ended. It must not be the one that everybody waits for.
            with self._lock:
                if mine in self._queue:
                    self._queue.remove(mine)
                    self._waiting -= len(mine.questions)
                if mine.leads:
                    self._hand_over()
            raise

    def _run_batch(self) -> None:
        with self._lock:
            batch = self._next_batch()
        questions = [question for waiting in batch for question in waiting.questions]
        try:
            encoded = self._compute(self._encoder.encode_queries, questions)
            found = iter(_by_question(encoded, len(questions)))
            for waiting in batch:
                waiting.vectors = list(islice(found, len(waiting.questions)))
        except Exception as error:  # noqa: BLE001 - it is raised again by everybody in the batch
            for waiting in batch:
                waiting.error = error
        finally:
            with self._lock:
                self._hand_over()
            for waiting in batch:
                waiting.ready.set()

    def _next_batch(self) -> Sequence[_Waiting]:
        """Take the first that wait, as many as a batch holds. The lock is held."""
        batch: list[_Waiting] = []
        size = 0
        while self._queue and (
            not batch or size + len(self._queue[0].questions) <= BATCH_QUESTIONS_MAX
        ):
            batch.append(self._queue.popleft())
            size += len(batch[-1].questions)
        self._waiting -= size
        return batch

    def _hand_over(self) -> None:
        """Let the first that waits lead. The lock is held."""
        if not self._queue:
            self._running = False
            return
        following = self._queue[0]
        following.leads = True
        following.ready.set()


def _by_question(encoded: Mapping[str, SpaceVectors], questions: int) -> Sequence[EncodedQuestion]:
    found: list[dict[str, NDArray[np.float32]]] = [{} for _ in range(questions)]
    for space, rows in encoded.items():
        for position, vector in zip(rows.positions.tolist(), rows.vectors, strict=True):
            found[position][space] = vector
    return found
