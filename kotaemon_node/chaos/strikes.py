"""Strikes workers and notes which running turns that hit, and how long their readers waited."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kotaemon_node.chaos.phases import Aim, Phase, draw, phase_of
from kotaemon_node.chaos.reader import first_text_s
from kotaemon_node.chaos.store import StoredTurn, StoreView
from kotaemon_node.chaos.target import Target
from kotaemon_node.chaos.writers import Talk, Writers
from kotaemon_node.domain.errors import StoreUnavailable

_READY_MIN = 2
_READY_S = 30.0
_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class Hit:
    """A turn whose owner was struck."""

    talk: Talk
    fault: str
    struck_s: float
    stored: StoredTurn
    """What was in the store right after."""
    amid: str
    """Another fault that went on meanwhile."""

    def first_text_ms(self) -> float | None:
        """Return when the new owner's first text was here; None where it had none to write."""
        found = first_text_s(self.talk.whole().arrivals, after=self.stored.last_seq)
        return None if found is None or found < self.struck_s else (found - self.struck_s) * 1000

    def phase(self) -> Phase:
        """Return where the turn stood; only when it has ended."""
        reading = self.talk.whole()
        return phase_of(self.stored, reading.frames(), answer=reading.text)


@dataclass(slots=True)
class Strikes:
    """All strikes of a run, and what it takes to strike."""

    target: Target
    writers: Writers
    store: StoreView
    aim: Aim
    hits: list[Hit] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    """Fault to how many processes of workers it ended or froze."""
    fruitless: int = 0
    """Of all those, how many met no turn."""
    amid: str = ""
    """The fault beside which workers are struck now."""

    def aimed(self, chance: random.Random, fault: str) -> int:
        """Kill the owner of a turn in a phase that is drawn; return how many turns that hit."""
        found = self.owner(draw(chance), chance)
        if found is None:
            return 0
        talk, name, pid = found
        return self.strike({name: pid}, fault, beside=talk)

    def owner(self, phase: Phase, chance: random.Random) -> tuple[Talk, str, int] | None:
        """Wait for a turn in this phase; return it with name and pid of the pod it runs on.

        None where none came, or another fault has the store just now.
        """
        pids = self._serving()
        try:
            with self.store.watching() as watch:
                found = self.aim.aim(phase, watch, chance)
            if found is None:
                return None
            talk, name = found
            if not name:
                [seen] = self.store.look([talk.key])
                name = seen.pod
        except (OSError, StoreUnavailable):
            return None
        return (talk, name, pids[name]) if name in pids else None

    def _serving(self) -> dict[str, int]:
        """Wait until there is somebody to go on with the turns, but not for ever."""
        deadline_s = time.monotonic() + _READY_S
        needed = min(_READY_MIN, len(self.target.workers()))
        while True:
            found = self.target.serving()
            if len(found) >= needed or time.monotonic() > deadline_s:
                return found
            time.sleep(_WAIT_S)

    def strike(
        self,
        pids: Mapping[str, int],
        fault: str,
        number: signal.Signals = signal.SIGKILL,
        *,
        beside: Talk | None = None,
    ) -> int:
        """Send the signal to all of them at one moment; return how many turns that hit.

        ``beside``: a turn that was just committed, whose event may not have been sent.
        """
        before = [talk for talk in self.writers.unfinished() if talk is not beside]
        if beside is not None:
            before.append(beside)
        struck_s = time.monotonic()
        struck = 0
        for pid in pids.values():
            try:
                os.kill(pid, number)
                struck += 1
            except ProcessLookupError:
                continue  # it died by itself, or of an earlier strike
        self.kills[fault] += struck
        try:
            stored = self.store.look([talk.key for talk in before])
        except StoreUnavailable:
            return 0  # what was hit cannot be told
        met = [
            Hit(talk, fault, struck_s, seen, self.amid)
            for talk, seen in zip(before, stored, strict=True)
            if (seen.state == "running" and seen.pod in pids)
            or (seen.state == "committed" and seen.indexed and talk is beside)
        ]
        self.hits += met
        self.fruitless += 0 if met else struck
        return len(met)

    def as_json(self) -> list[dict[str, Any]]:
        """Return a row a hit; times in ms. Only when all turns have ended."""
        rows = []
        for hit in self.hits:
            reading = hit.talk.whole()
            text_ms = hit.first_text_ms()
            rows.append(
                {
                    "fault": hit.fault,
                    "amid": hit.amid,
                    "phase": hit.phase(),
                    "turn": hit.talk.turn,
                    "stored_frames": hit.stored.last_seq,
                    "first_text_ms": None if text_ms is None else round(text_ms, 1),
                    "state": reading.state,
                    "restarts": reading.restarts,
                }
            )
        return rows
