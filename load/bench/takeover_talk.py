"""Clients that talk without end, each turn in a session of its own, for somebody to kill pods of.

A fresh session for each turn makes every answer comparable with that of an undisturbed run, and
spreads the turns over the pods.
"""

import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Self

from kotaemon_node.chaos.reader import Reading, TurnReader
from kotaemon_node.domain.session import SessionKey, TurnKey

_TURN_MAX_S = 120.0
_PAUSE_MAX_S = 0.2


@dataclass(frozen=True, slots=True)
class Expected:
    """A question and how its turn goes when nothing is killed."""

    question: str
    answer: str
    first_text_s: float
    duration_s: float


@dataclass(slots=True)
class Talk:
    """One turn of one client."""

    expected: Expected
    reader: TurnReader
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def reading(self) -> Reading:
        """What the client saw so far."""
        return self.reader.reading

    @property
    def key(self) -> TurnKey:
        """The turn in the store."""
        reading = self.reading
        return TurnKey(SessionKey("default", reading.session_id), reading.turn_id)

    @property
    def served_by(self) -> str | None:
        """The pod whose stream the client reads; None before the first answer."""
        return self.reading.tries[-1].served_by if self.reading.tries else None


def undisturbed(url: str, questions: Sequence[str], *, label: str) -> list[Expected]:
    """Ask each question once while nothing happens; ``RuntimeError`` where even that fails."""
    found = []
    for number, question in enumerate(questions):
        reader = TurnReader(url, session_id=f"{label}-{number}", turn_id="t", message=question)
        reading = reader.read(timeout_s=_TURN_MAX_S)
        if not reading.complete or reading.errors or reading.terminal is None:
            raise RuntimeError(f"undisturbed, {question!r} ended as {reading.tries[-1]}")
        if reading.terminal["degraded"]:
            raise RuntimeError(f"undisturbed, {question!r} was {reading.terminal['degraded']}")
        texts = [one.at_s for one in reading.arrivals if one.frame["type"] == "text"]
        ended_s = reading.arrivals[-1].at_s
        found.append(
            Expected(
                question=question,
                answer=reading.text,
                first_text_s=texts[0] - reading.began_s,
                duration_s=ended_s - reading.began_s,
            )
        )
    return found


class Talkers:
    """Some clients, each of which asks again as soon as it was answered."""

    def __init__(
        self, url: str, expected: Sequence[Expected], *, clients: int, seed: int, label: str
    ) -> None:
        self._url = url
        self._expected = expected
        self._label = label
        self._lock = threading.Lock()
        self._open: dict[str, Talk] = {}
        self._begun: SimpleQueue[Talk] = SimpleQueue()
        self._stopped = threading.Event()
        self.done: list[Talk] = []
        """Every turn that ended, in the order of their ends."""
        self._threads = [
            threading.Thread(target=self._talk, args=(number, random.Random(f"{seed}/{number}")))
            for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(_TURN_MAX_S)

    def open(self) -> Mapping[str, Talk]:
        """Return the turns under way by session id."""
        with self._lock:
            return dict(self._open)

    def next_begun(self, *, timeout_s: float) -> Talk:
        """Return the next turn that begins from now on; ``Empty`` when none does."""
        while True:
            try:
                self._begun.get_nowait()
            except Empty:
                return self._begun.get(timeout=timeout_s)

    def _talk(self, number: int, choose: random.Random) -> None:
        turn = 0
        while not self._stopped.wait(choose.uniform(0, _PAUSE_MAX_S)):
            turn += 1
            expected = choose.choice(self._expected)
            session_id = f"{self._label}-c{number}-{turn}"
            reader = TurnReader(
                self._url, session_id=session_id, turn_id=f"{session_id}-t",
                message=expected.question,
            )  # fmt: skip
            talk = Talk(expected, reader)
            with self._lock:
                self._open[session_id] = talk
            self._begun.put(talk)
            try:
                reader.read(timeout_s=_TURN_MAX_S)
            finally:
                with self._lock:
                    del self._open[session_id]
                    self.done.append(talk)
                talk.ended.set()
