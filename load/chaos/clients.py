"""Writers who talk without end, and those who read along: each notes what it saw.

A turn has a writer, who may vanish or send it twice, a reader who follows from the beginning on a
connection of its own (and so sends the turn again, which must change nothing), and one who leaves
and resumes at random. Nobody tries again beyond what ``load.reader`` does.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import requests

from kotaemon_node.domain.session import SessionKey, TurnKey
from load.chaos.notes import Notes, Witness, history
from load.reader import Arrival, Reading, TurnReader

QUESTIONS: Final = (
    "How long does standard delivery to Singapore take?",
    "How do I return a cup that arrived broken?",
    "标准配送到新加坡需要多长时间？",
    "How much does the Meteor lamp cost today?",
    "How much does the Meteor lamp cost today?",
    'Where is my order? call:once_act{"order": "A1"}',
    'Where is my order? call:idempotent_act{"order": "A2"}',
)
TURN_MAX_S = 150.0
HISTORY_MAX = 200
_VANISHES, _DOUBLES, _CONTRADICTS, _HURRIES, _FORGETS, _READS = 0.08, 0.08, 0.06, 0.1, 0.08, 0.25
_PAUSE_MAX_S = 3.0
_TURNS_PER_SESSION = (4, 16)
_OK = frozenset({200, 202})
_CONFLICT = 409


@dataclass(slots=True)
class Talk:
    """One turn and all who follow it."""

    session: str
    turn: str
    message: str
    readings: list[Reading] = field(default_factory=list)
    began: threading.Event = field(default_factory=threading.Event)
    """Its first frame is here."""

    @property
    def key(self) -> TurnKey:
        """The turn in the store."""
        return TurnKey(SessionKey("default", self.session), self.turn)

    @property
    def open(self) -> bool:
        """Somebody saw it begin, and nobody saw it end."""
        seen = [reading for reading in self.readings if reading.last_seq]
        return bool(seen) and all(reading.terminal is None for reading in seen)

    def whole(self) -> Reading:
        """Return a reading that goes to the end, where there is one."""
        return next((one for one in self.readings if one.terminal), self.readings[0])


@dataclass(slots=True)
class Counts:
    """What happened to clients beside frames. Guarded by the writers' lock."""

    conflicts: int = 0
    """Another body under the same id, refused as it must be."""
    reads: int = 0
    read_errors: list[str] = field(default_factory=list)


class Writers:
    """Some clients, each of which asks again a while after it was answered."""

    def __init__(self, url: str, notes: Notes, *, clients: int, seed: int) -> None:
        self._url = url
        self._notes = notes
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.counts = Counts()
        self.talks: list[Talk] = []
        """Every turn, in the order of their beginnings."""
        self._threads = [
            threading.Thread(target=self._talk, args=(n, random.Random(f"{seed}/{n}")))
            for n in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let every turn end."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def open(self) -> Sequence[Talk]:
        """Return the turns under way."""
        with self._lock:
            recent = self.talks[-4 * len(self._threads) :]
        return [talk for talk in recent if talk.open]

    def sessions(self) -> Sequence[str]:
        """Return the ids of all sessions."""
        return sorted({talk.session for talk in self.talks})

    def _talk(self, number: int, chance: random.Random) -> None:
        sessions = 0
        while not self._stopped.is_set():
            sessions += 1
            session, turns = f"w{number}-{sessions}", chance.randint(*_TURNS_PER_SESSION)
            while turns > 0 and not self._stopped.wait(chance.uniform(0, _PAUSE_MAX_S)):
                turns -= 1
                self._turns(session, chance)
                if chance.random() < _READS:
                    self.read(session, client=f"w{number}")

    def _turns(self, session: str, chance: random.Random) -> None:
        """Take one turn to its end, or two of which the second does not wait for the first."""
        talk = self._new_talk(session, chance)
        threads = self._begin(talk, chance)
        if chance.random() < _HURRIES and talk.began.wait(TURN_MAX_S):
            second = self._new_talk(session, chance)
            threads += self._begin(second, chance)
        for thread in threads:
            thread.join()
        if chance.random() < _FORGETS:
            # A client that lost everything sends what was answered long ago.
            self._follow(talk, "late", posts=True)

    def _new_talk(self, session: str, chance: random.Random) -> Talk:
        with self._lock:
            talk = Talk(session, f"{session}-t{len(self.talks)}", chance.choice(QUESTIONS))
            self.talks.append(talk)
        return talk

    def _begin(self, talk: Talk, chance: random.Random) -> list[threading.Thread]:
        """Start all who have to do with the turn; each has a chance of its own."""
        tasks: list[Callable[[random.Random], None]] = [
            lambda c: self._write(talk, c),
            lambda c: self._after_begin(talk, lambda: self._follow(talk, "a", posts=True)),
            lambda c: self._after_begin(talk, lambda: self._come_and_go(talk, c)),
        ]
        if chance.random() < _DOUBLES:
            tasks.append(lambda _: self._follow(talk, "double", posts=True))
        if chance.random() < _CONTRADICTS:
            tasks.append(lambda _: self._after_begin(talk, lambda: self._contradict(talk)))
        threads = [
            threading.Thread(target=task, args=(random.Random(chance.random()),)) for task in tasks
        ]
        for thread in threads:
            thread.start()
        return threads

    def _after_begin(self, talk: Talk, task: Callable[[], None]) -> None:
        if talk.began.wait(TURN_MAX_S):
            task()

    def _write(self, talk: Talk, chance: random.Random) -> None:
        vanishes_after = chance.randint(1, 12) if chance.random() < _VANISHES else 0
        self._follow(talk, "w", posts=True, leaves_after=vanishes_after)

    def _come_and_go(self, talk: Talk, chance: random.Random) -> None:
        """Follow in pieces, each beginning where the last one ended."""
        reading: Reading | None = None
        deadline_s = time.monotonic() + TURN_MAX_S
        witness = self._witness(talk, "b")
        while reading is None or (reading.left and time.monotonic() < deadline_s):
            reading = self._piece(talk, witness, before=reading, leaves_after=chance.randint(1, 10))
            if reading.left and chance.random() < 0.5:
                time.sleep(chance.uniform(0, 0.5))
        witness.ends(reading)

    def _follow(self, talk: Talk, name: str, *, posts: bool, leaves_after: int = 0) -> None:
        witness = self._witness(talk, name)
        if posts:
            witness.sends()
        witness.ends(self._piece(talk, witness, before=None, leaves_after=leaves_after))

    def _piece(
        self, talk: Talk, witness: Witness, *, before: Reading | None, leaves_after: int
    ) -> Reading:
        """Follow once; ``leaves_after`` so many frames, 0: to the end."""
        left = leaves_after

        def frame(arrival: Arrival) -> None:
            nonlocal left
            reading = reader.reading
            witness.sees(arrival, served_by=reading.tries[arrival.in_try].served_by)
            talk.began.set()
            left -= 1
            if left == 0 and reading.terminal is None:
                reader.leave()

        reader = TurnReader(
            self._url,
            session_id=talk.session,
            turn_id=talk.turn,
            message=talk.message,
            on_frame=frame,
        )
        reading = reader.reading
        if before is not None:
            reading.last_seq, reading.text = before.last_seq, before.text
        talk.readings.append(reading)
        return reader.read(timeout_s=TURN_MAX_S)

    def _contradict(self, talk: Talk) -> None:
        """Send the same turn with another message; only a refusal is right."""
        message = f"{talk.message} Or not?"
        witness = Witness(
            self._notes, client="contradicts", session=talk.session, turn=talk.turn, message=message
        )
        try:
            answer = requests.post(
                f"{self._url}/v1/sessions/{talk.session}/turns",
                json={"message": message, "turn_id": talk.turn},
                timeout=TURN_MAX_S,
            )
        except requests.RequestException:
            return  # a fault was in the way: nothing was learnt
        if answer.status_code in _OK:
            witness.accepted()
        with self._lock:
            self.counts.conflicts += answer.status_code == _CONFLICT

    def read(self, session: str, *, client: str, final: bool = False) -> bool:
        """Read the history once and note it; False where that failed."""
        try:
            answer = requests.get(
                f"{self._url}/v1/sessions/{session}", params={"limit": HISTORY_MAX}, timeout=30
            )
            answer.raise_for_status()
        except requests.RequestException as error:
            with self._lock:
                self.counts.read_errors.append(f"{session}: {error}")
            return False
        served_by = answer.headers.get("X-Served-By")
        found = answer.json()
        at_s = time.monotonic()
        self._notes.add(history(found, client=client, final=final, served_by=served_by, at_s=at_s))
        with self._lock:
            self.counts.reads += 1
        return True

    def _witness(self, talk: Talk, client: str) -> Witness:
        return Witness(
            self._notes, client=client, session=talk.session, turn=talk.turn, message=talk.message
        )
