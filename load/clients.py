"""Threads that stand for clients of a measure: they begin and end together."""

import random
import threading
from abc import ABC, abstractmethod
from typing import Self


class Clients(ABC):
    """``clients`` threads, which ask while the block runs; each has a chance of its own."""

    def __init__(self, *, clients: int, seed: int) -> None:
        self._stopped = threading.Event()
        self.arm = ""
        """What happens now; "" between rounds."""
        self.errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._ask, args=(random.Random(f"{seed}/{number}"),))
            for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    @abstractmethod
    def _ask(self, chance: random.Random) -> None:
        """Ask again and again until ``_stopped`` is set."""
