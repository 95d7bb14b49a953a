"""Ctrl-C, TERM and a closed terminal all ask for the same: an orderly stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopAsked(BaseException):
    """The user wants the program to end. Not an error, so ``except Exception`` lets it pass."""


@contextmanager
def stop_signals() -> Iterator[None]:
    """Raise ``StopAsked`` in the body when one of the signals arrives."""
    before = {number: signal.signal(number, _raise) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise StopAsked
