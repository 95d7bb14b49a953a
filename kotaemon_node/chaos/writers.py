"""Writers who talk without end, and those who read along: each notes what it saw.

A turn has a writer, who may vanish or send it twice, a reader who follows from the beginning on a
connection of its own (and so sends the turn again, which must change nothing), and one who leaves
and resumes at random. Nobody tries again beyond what ``TurnReader`` does.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import requests

from kotaemon_node.chaos.access import Access
from kotaemon_node.chaos.notes import Notes, Witness, history
from kotaemon_node.chaos.reader import Arrival, Reading, TurnReader
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.proof.facts import Gone

QUESTIONS: Final = (
    "How long does standard delivery to Singapore take?",
    "How do I return a cup that arrived broken?",
    "标准配送到新加坡需要多长时间？",
)
TURN_MAX_S = 150.0
HISTORY_MAX = 200
_VANISHES, _DOUBLES, _CONTRADICTS, _HURRIES, _FORGETS, _READS = 0.08, 0.08, 0.06, 0.1, 0.08, 0.25
_PAUSE_MAX_S = 3.0
_TURNS_PER_SESSION = (4, 16)
_OK = frozenset({200, 202})
_CONFLICT, _GONE = 409, 410


@dataclass(slots=True)
class Talk:
    """One turn and all who follow it."""

    session: str
    turn: str
    message: str
    readings: list[Reading] = field(default_factory=list)
    began: threading.Event = field(default_factory=threading.Event)
    """Its first frame is here, or its writer was sent away without any."""
    refused: bool = False
    """Its writer was sent away without any frame."""

    @property
    def key(self) -> TurnKey:
        """The turn in the store."""
        return TurnKey(SessionKey("default", self.session), self.turn)

    @property
    def open(self) -> bool:
        """Somebody saw it begin, and nobody saw it end."""
        seen = [reading for reading in self.readings if reading.last_seq]
        return bool(seen) and all(reading.terminal is None for reading in seen)

    @property
    def over(self) -> bool:
        """Somebody saw it end."""
        return any(reading.terminal is not None for reading in self.readings)

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

    def __init__(
        self,
        url: str,
        notes: Notes,
        *,
        clients: int,
        seed: int,
        label: str = "",
        questions: Sequence[str] = QUESTIONS,
        access: Access | None = None,
    ) -> None:
        """``label`` begins the ids of the sessions: no two runs on one cluster may share it."""
        self._url = url
        self._access = access or Access()
        self._notes = notes
        self._label = label
        self._questions = questions
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.counts = Counts()
        self.talks: list[Talk] = []
        """Every turn, in the order of their beginnings."""
        self.others: list[str] = []
        """Sessions that nobody judges: faults use them."""
        self._latest: dict[str, Talk] = {}
        self._epochs: dict[str, str] = {}
        """Session to the epoch by which its writer knows it."""
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
        return [talk for talk in self._recent() if talk.open]

    def unfinished(self) -> Sequence[Talk]:
        """Return the turns of which nobody saw the end, those too of which nobody saw anything."""
        return [talk for talk in self._recent() if not talk.over]

    def finished(self, number: int) -> Sequence[Talk]:
        """Return so many of the newest turns that ended, or fewer."""
        return [talk for talk in self._recent() if talk.over][-number:]

    def _recent(self) -> Sequence[Talk]:
        with self._lock:
            return self.talks[-4 * len(self._threads) :]

    def latest(self, session: str) -> Talk | None:
        """Return the newest turn of a session that was seen to begin or is the only one."""
        with self._lock:
            return self._latest.get(session)

    def sessions(self) -> Sequence[str]:
        """Return the ids of all sessions."""
        return sorted({talk.session for talk in self.talks})

    def _talk(self, number: int, chance: random.Random) -> None:
        sessions = 0
        while not self._stopped.is_set():
            sessions += 1
            session = self._access.session(
                self._url, f"{self._label}w{number}-{sessions}", failed=self._read_failed
            )
            turns = chance.randint(*_TURNS_PER_SESSION)
            while turns > 0 and not self._stopped.wait(chance.uniform(0, _PAUSE_MAX_S)):
                turns -= 1
                self._turns(session, chance)
                if session not in self._epochs or chance.random() < _READS:
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
            question = chance.choice(self._questions)
            talk = Talk(session, f"{session}-t{len(self.talks)}", question)
            self.talks.append(talk)
            self._latest[session] = talk
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
        if talk.began.wait(TURN_MAX_S) and not talk.refused:
            task()

    def _write(self, talk: Talk, chance: random.Random) -> None:
        vanishes_after = chance.randint(1, 12) if chance.random() < _VANISHES else 0
        self._follow(talk, "w", posts=True, leaves_after=vanishes_after)
        if not talk.began.is_set():
            # A store that was wiped tells so once; nobody need wait for this turn.
            talk.refused = True
            talk.began.set()

    def _come_and_go(self, talk: Talk, chance: random.Random) -> None:
        """Follow in pieces, each beginning where the last one ended."""
        reading: Reading | None = None
        deadline_s = time.monotonic() + TURN_MAX_S
        witness = self._witness(talk, "b")
        while reading is None or (reading.left and time.monotonic() < deadline_s):
            reading = self._piece(talk, witness, before=reading, leaves_after=chance.randint(1, 10))
            if reading.left and chance.random() < 0.5:
                time.sleep(chance.uniform(0, 0.5))
        self._ends(talk, witness, reading)

    def _follow(self, talk: Talk, name: str, *, posts: bool, leaves_after: int = 0) -> None:
        witness = self._witness(talk, name)
        if posts:
            witness.sends()
        self._ends(
            talk, witness, self._piece(talk, witness, before=None, leaves_after=leaves_after)
        )

    def _ends(self, talk: Talk, witness: Witness, reading: Reading) -> None:
        if witness.ends(reading) == "gone":
            self._epochs.pop(talk.session, None)

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
            options=self._known(talk.session),
            on_frame=frame,
            headers=self._access.headers,
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
                headers=self._access.headers,
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
                f"{self._url}/v1/sessions/{session}",
                params={"limit": str(HISTORY_MAX), **self._known(session)},
                headers=self._access.headers,
                timeout=30,
            )
            if answer.status_code == _GONE:
                self._epochs.pop(session, None)
                self._notes.add(Gone(time.monotonic(), client, session))
            answer.raise_for_status()
        except requests.RequestException as error:
            self._read_failed(f"{session}: {error}")
            return False
        served_by = answer.headers.get("X-Served-By")
        found = answer.json()
        self._epochs[session] = found["epoch"]
        at_s = time.monotonic()
        self._notes.add(history(found, client=client, final=final, served_by=served_by, at_s=at_s))
        with self._lock:
            self.counts.reads += 1
        return True

    def _read_failed(self, what: str) -> None:
        with self._lock:
            self.counts.read_errors.append(what)

    def _known(self, session: str) -> dict[str, str]:
        """Return what the session's clients say of it: they notice a loss that no pod remembers."""
        epoch = self._epochs.get(session)
        return {"epoch": epoch} if epoch else {}

    def other_session(self, name: str) -> str:
        """Return the id of a session that is not judged."""
        session = f"{self._label}{name}"
        self.others.append(session)
        return session

    def probe(self, number: int) -> float | None:
        """Return after how many seconds a new turn's first frame is here; None: it never came."""
        began_s = time.monotonic()
        session = self.other_session(f"probe-{number}")
        reader = TurnReader(
            self._url,
            session_id=session,
            turn_id=f"{session}-t",
            message=self._questions[0],
            on_frame=lambda _: reader.leave(),
            headers=self._access.headers,
        )
        arrivals = reader.read(timeout_s=TURN_MAX_S).arrivals
        return arrivals[0].at_s - began_s if arrivals else None

    def _witness(self, talk: Talk, client: str) -> Witness:
        return Witness(
            self._notes, client=client, session=talk.session, turn=talk.turn, message=talk.message
        )
