"""A client that only asks its questions, while others send what they like."""

import json
import statistics
import threading
import time
from types import TracebackType
from typing import Self

from load.bad_input.doors import Caller

QUESTION = "/ask?q=How+long+does+shipping+take"
_PAUSE_S = 0.2
_CALM = 20
"""Questions whose times are taken before the others begin."""


class Neighbour:
    """Asks again and again from a thread of its own, for as long as the block lasts."""

    def __init__(self, port: int, *, key: str = "") -> None:
        self._caller = Caller(port, key=key)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._asks, name="neighbour", daemon=True)
        self.alone_s = [self._ask() for _ in range(_CALM)]
        self.beside_s: list[float] = []
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def told(self) -> dict[str, float | int]:
        """Return how it fared."""
        beside = sorted(self.beside_s)
        return {
            "asked": len(beside),
            "failed": len(self.failed),
            "alone_ms": round(1000 * statistics.median(self.alone_s), 1),
            "beside_ms": round(1000 * statistics.median(beside), 1),
            "beside_p99_ms": round(1000 * beside[int(0.99 * (len(beside) - 1))], 1),
        }

    def _asks(self) -> None:
        while not self._ended.wait(_PAUSE_S):
            try:
                self.beside_s.append(self._ask())
            except (OSError, ValueError) as error:
                self.failed.append(f"{type(error).__name__}: {error}")

    def _ask(self) -> float:
        began_s = time.monotonic()
        said = self._caller.ask("GET", QUESTION)
        took_s = time.monotonic() - began_s
        if said.status != 200 or not json.loads(said.body).get("answer"):
            raise ValueError(f"{said.status} {said.body[:200]!r}")
        return took_s
