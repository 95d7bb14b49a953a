"""Kills pods in the middle of turns and notes where each kill fell and what came of the turn.

Rule 1: only a kill that met a turn of that pod counts; what it met is read from the store.
Rule 2: the next kill waits until every turn hit by the last one has ended, and until enough pods
        are in use again: a turn loses one owner at a time, and never is no pod left.
Rule 3: nothing is left out: a turn that ended wrongly is a row like any other.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty
from typing import Any, Literal

import requests

from kotaemon_node.chaos.reader import Arrival, Reading, TurnReader, first_text_s
from kotaemon_node.chaos.store import StoredTurn, StoreView
from kotaemon_node.local.balancer import pods_in_use
from load.bench.takeover_talk import Expected, Talk, Talkers
from tests.cluster import Cluster

Aim = Literal["drawn", "begin", "end", "event"]
Where = Literal["before_text", "within_text", "text_to_commit", "commit_to_event"]
WHERE: tuple[Where, ...] = ("before_text", "within_text", "text_to_commit", "commit_to_event")
# Most moments are drawn over the whole turn; the rest aim at its short parts.
AIMS: Mapping[Aim, int] = {"drawn": 5, "begin": 2, "end": 1, "event": 2}
_TRIES_PER_KILL = 4
_TURN_MAX_S = 120.0
_LOOK_S = 0.001


@dataclass(frozen=True, slots=True)
class Hit:
    """One turn whose owner was killed; times since the kill, in ms."""

    kill: int
    session: str
    aim: Aim
    where: Where
    victim: str
    owner: str
    """Who finished it."""
    machine_load: float
    """Of the last minute, all processes of the machine."""
    first_text_ms: float | None
    """Until the first text of the new owner was here; None where it had none to write."""
    end_ms: float
    """Until the terminal frame was here."""
    state: str
    attempts: int
    restarts: int
    tries: int
    errors: int
    """Tries of this client that got no stream."""
    problems: tuple[str, ...]
    same_as_committed: bool
    same_as_undisturbed: bool
    in_history: int
    """How often; it must be 1."""
    same_when_read_again: bool
    """A client that comes afterwards sees the very same frames."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: an aim and how far into it, in [0, 1)."""

    aim: Aim
    share: float


def moments(seed: int) -> Callable[[], Moment]:
    """Return what draws one moment after the other, the same ones for the same seed."""
    chance = random.Random(seed)
    aims = list(AIMS)
    weights = list(AIMS.values())
    return lambda: Moment(chance.choices(aims, weights)[0], chance.random())


class Killer:
    """Kills owners of turns, one after the other."""

    def __init__(
        self,
        cluster: Cluster,
        store: StoreView,
        talkers: Talkers,
        *,
        tail_s: float,
        ready_min: int,
    ) -> None:
        """``tail_s``: how long the model is silent between the last text and its end.

        ``ready_min``: workers that must be in use before a kill, at least 2. Fewer than all means
        to kill while another one starts, which takes all that a small machine has.
        """
        self._cluster = cluster
        self._store = store
        self._talkers = talkers
        self._tail_s = tail_s
        self._ready_min = max(2, ready_min)
        self.missed = 0
        """Kills that met no turn."""

    def run(
        self, kills: int, *, draw: Callable[[], Moment], tell: Callable[[str], None]
    ) -> list[Hit]:
        """Kill until so many kills have met turns; a kill may meet several."""
        hits: list[Hit] = []
        done = 0
        for _ in range(kills * _TRIES_PER_KILL):
            if done == kills:
                break
            moment = draw()
            found = self.kill(done, moment)
            if not found:
                self.missed += 1
                continue
            done += 1
            hits += found
            tell(f"{done}/{kills} {'; '.join(_line(hit) for hit in found)}")
        return hits

    def kill(self, number: int, moment: Moment) -> list[Hit]:
        """Kill the owner of the next turn that begins, and return the turns that this met."""
        pids = self._spare_pids()
        talk = self._next_talk(pids)
        if talk is None or not self._reached(talk, moment):
            return []
        victim = str(talk.served_by)
        under_way = [one for one in self._talkers.open().values() if one.reading.arrivals]
        if talk.ended.is_set() and talk not in under_way:
            under_way.append(talk)  # the client saw the end before we struck
        killed_s = time.monotonic()
        os.kill(pids[victim], signal.SIGKILL)
        stored = self._store.look([one.key for one in under_way])
        met = [
            (one, seen)
            for one, seen in zip(under_way, stored, strict=True)
            if _meets(seen, served_by=one.served_by, victim=victim)
        ]
        for one, _ in met:
            one.ended.wait(_TURN_MAX_S)
        return [
            self._hit(one, seen, number=number, aim=moment.aim, victim=victim, killed_s=killed_s)
            for one, seen in met
        ]

    def _spare_pids(self) -> dict[str, int]:
        """Wait until enough workers are ready and used; return pids of all that are."""
        found: dict[str, int] = {}

        def enough() -> bool:
            used = pods_in_use(self._cluster.folder)
            found.clear()
            found.update(
                {
                    row["name"]: row["pid"]
                    for row in self._cluster.ps()
                    if row["role"] == "worker" and row["ready"] and row["name"] in used
                }
            )
            return len(found) >= self._ready_min

        self._cluster.wait_until(enough, what="enough workers are in use")
        return found

    def _next_talk(self, pids: Mapping[str, int]) -> Talk | None:
        """Return a turn that has just begun on a pod that may be killed."""
        try:
            talk = self._talkers.next_begun(timeout_s=_TURN_MAX_S)
        except Empty:
            return None
        while not talk.reading.arrivals and not talk.ended.is_set():
            time.sleep(_LOOK_S)
        return talk if talk.served_by in pids else None

    def _reached(self, talk: Talk, moment: Moment) -> bool:
        """Wait for the moment; False where the turn did not come so far."""
        expected = talk.expected
        match moment.aim:
            case "drawn":
                self._sleep_until(talk, moment.share * expected.duration_s)
            case "begin":
                # The first frame is here; the first text comes within the rest of its time.
                now_s = time.monotonic() - talk.reading.began_s
                self._sleep_until(
                    talk, now_s + moment.share * max(0.0, expected.first_text_s - now_s)
                )
            case "end":
                while talk.reading.text != expected.answer and not talk.ended.is_set():
                    time.sleep(_LOOK_S)
                time.sleep(moment.share * self._tail_s)
            case "event":
                with self._store.watching() as watch:
                    return watch.wait_committed(talk.key, timeout_s=3 * expected.duration_s)
        return not talk.ended.is_set()

    def _sleep_until(self, talk: Talk, since_begin_s: float) -> None:
        time.sleep(max(0.0, talk.reading.began_s + since_begin_s - time.monotonic()))

    def _hit(
        self,
        talk: Talk,
        stored: StoredTurn,
        *,
        number: int,
        aim: Aim,
        victim: str,
        killed_s: float,
    ) -> Hit:
        reading = talk.reading
        turn, times = self._committed(talk)
        first_s = first_text_s(reading.arrivals, after=stored.last_seq)
        last_s = reading.arrivals[-1].at_s
        return Hit(
            kill=number,
            session=reading.session_id,
            aim=aim,
            where=_where(stored, reading.arrivals, talk.expected),
            victim=victim,
            owner=str(turn.get("owner")).partition(".")[0],
            machine_load=round(os.getloadavg()[0], 2),
            first_text_ms=None if first_s is None else round((first_s - killed_s) * 1000, 1),
            end_ms=round((last_s - killed_s) * 1000, 1),
            state=reading.state,
            attempts=int(turn.get("attempts", 0)),
            restarts=reading.restarts,
            tries=len(reading.tries),
            errors=len(reading.errors),
            problems=tuple(reading.problems),
            same_as_committed=reading.text == turn.get("answer"),
            same_as_undisturbed=reading.text == talk.expected.answer,
            in_history=times,
            same_when_read_again=self._again(talk).numbered() == reading.numbered(),
        )

    def _again(self, talk: Talk) -> Reading:
        reading = talk.reading
        return TurnReader(
            self._cluster.url,
            session_id=reading.session_id,
            turn_id=reading.turn_id,
            message=talk.expected.question,
        ).read(timeout_s=_TURN_MAX_S)

    def _committed(self, talk: Talk) -> tuple[Mapping[str, Any], int]:
        """Return the turn as it was committed, and how often the history has it."""
        reading = talk.reading
        session = f"{self._cluster.url}/v1/sessions/{reading.session_id}"
        turn = requests.get(f"{session}/turns/{reading.turn_id}", timeout=30).json()
        history = requests.get(session, timeout=30).json().get("turns", [])
        return turn, sum(one["turn_id"] == reading.turn_id for one in history)


def _meets(stored: StoredTurn, *, served_by: str | None, victim: str) -> bool:
    """Tell whether the victim was at work on the turn: executing it, or before its event."""
    if stored.state == "committed":
        return stored.indexed and served_by == victim
    return stored.state == "running" and stored.pod == victim


def _where(stored: StoredTurn, arrivals: Sequence[Arrival], expected: Expected) -> Where:
    if stored.state == "committed":
        return "commit_to_event"
    text = ""
    for frame in (one.frame for one in arrivals if one.frame.get("seq", 0) <= stored.last_seq):
        if frame["type"] == "restart":
            text = ""
        text += frame["content"] if frame["type"] == "text" else ""
    if not text:
        return "before_text"
    return "text_to_commit" if text == expected.answer else "within_text"


def _line(hit: Hit) -> str:
    text = "no text left" if hit.first_text_ms is None else f"{hit.first_text_ms:.0f} ms"
    good = hit.same_as_committed and hit.same_as_undisturbed and not hit.problems
    good = good and hit.same_when_read_again and hit.in_history == 1
    return f"{hit.where}: {text}, {hit.victim} → {hit.owner}{'' if good else ' WRONG'}"
