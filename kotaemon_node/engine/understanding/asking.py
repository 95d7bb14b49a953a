"""Short questions to a language model on the way to an answer, within a time limit of their own."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog

from kotaemon_node.domain.errors import DeadlineExceeded, LanguageModelError
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.language_model import ChatMessage, LanguageModel, Usage
from kotaemon_node.ports.runtime import Clock, StopSignal, Tasks

_log = structlog.get_logger(__name__)


class _TooLate(DeadlineExceeded):
    """A model may be well that is too slow for this: nobody counts it as failed."""


class Adviser:
    """A language model that is asked, and does not matter where it fails. Thread safe."""

    def __init__(self, model: LanguageModel, *, clock: Clock, tasks: Tasks) -> None:
        self._model = model
        self._clock = clock
        self._tasks = tasks

    def said(
        self,
        messages: Sequence[ChatMessage],
        *,
        chars_max: int,
        limit_s: float,
        usage: Usage,
        sampling: Mapping[str, float],
        stop: StopSignal,
    ) -> str | None:
        """Return what the model says; None where it fails, is late, or does not come to an end.

        Raises nothing but the reason of ``stop``.
        """
        try:
            with self._in_time(limit_s, stop) as limited:
                pieces = self._model.stream(
                    messages, prefix="", usage=usage, stop=limited, sampling=sampling
                )
                return _whole(pieces, chars_max)
        except (LanguageModelError, _TooLate) as error:
            _log.info("understanding_not_advised", error=str(error))
            return None

    @contextmanager
    def _in_time(self, limit_s: float, stop: StopSignal) -> Iterator[StopSignal]:
        """Lend a stop that is requested when the time is over, and whenever ``stop`` is."""
        over, own = threading.Event(), Stop()

        def watch() -> None:
            if not self._clock.wait(over, limit_s):
                own.request(_TooLate(f"no answer within {limit_s:g} s"))

        self._tasks.spawn("understanding in time", watch)
        try:
            yield _Either(stop, own)
        finally:
            over.set()


def _whole(pieces: Iterator[Any], chars_max: int) -> str | None:
    """Return the text; None where it is longer, and then the server is stopped."""
    text = ""
    for piece in pieces:
        text += piece if isinstance(piece, str) else ""
        if len(text) > chars_max:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()
            return None
    return text


class _Either:
    """``ports.runtime.StopSignal`` of two."""

    def __init__(self, outer: StopSignal, own: Stop) -> None:
        self._outer = outer
        self._own = own

    @contextmanager
    def breaking_off(self, break_off: Callable[[], None]) -> Iterator[None]:
        """See the port."""
        with self._outer.breaking_off(break_off), self._own.breaking_off(break_off):
            yield
