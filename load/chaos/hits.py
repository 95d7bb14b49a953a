"""Strikes workers and notes which running turns that hit, and how long their readers waited."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from load.bench.takeover_kills import first_text_s
from load.chaos.clients import Talk, Writers
from load.chaos.scene import Scene

_LOOK_S = 0.005
_WAIT_TURN_S = 20.0


@dataclass(frozen=True, slots=True)
class Hit:
    """A turn whose owner was struck."""

    talk: Talk
    fault: str
    struck_s: float
    last_seq: int
    """The last frame that was stored before."""

    def first_text_ms(self) -> float | None:
        """Return when the new owner's first text was here; None where it had none to write."""
        found = first_text_s(self.talk.whole().arrivals, after=self.last_seq)
        return None if found is None or found < self.struck_s else (found - self.struck_s) * 1000


@dataclass(slots=True)
class Strikes:
    """All strikes of a run."""

    scene: Scene
    writers: Writers
    hits: list[Hit] = field(default_factory=list)
    done: int = 0
    """Signals that ended or froze a worker."""
    fruitless: int = 0
    """Of those, how many met no turn."""

    def owner(self) -> tuple[str, int] | None:
        """Wait for a turn whose text has begun and return name and pid of the pod it runs on."""
        deadline_s = time.monotonic() + _WAIT_TURN_S
        while time.monotonic() < deadline_s:
            for talk in self.writers.open():
                [seen] = self.scene.store.look([talk.key])
                if seen.state == "running" and seen.pod:
                    pid = self.pids([seen.pod]).get(seen.pod)
                    if pid is not None:
                        return seen.pod, pid
            time.sleep(_LOOK_S)
        return None

    def pids(self, names: Sequence[str]) -> dict[str, int]:
        """Return the pids of those that are up."""
        rows = self.scene.cluster.ps()
        return {r["name"]: r["pid"] for r in rows if r["name"] in names and r["pid"] is not None}

    def strike(
        self, pids: Mapping[str, int], fault: str, number: signal.Signals = signal.SIGKILL
    ) -> int:
        """Send the signal to all of them at one moment; return how many turns that hit."""
        before = self.writers.open()
        struck_s = time.monotonic()
        for pid in pids.values():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue  # it died by itself, or of an earlier strike
        try:
            stored = self.scene.store.look([talk.key for talk in before])
        except redis.RedisError:
            return 0  # what was hit cannot be told
        met = [
            Hit(talk, fault, struck_s, seen.last_seq)
            for talk, seen in zip(before, stored, strict=True)
            if seen.state == "running" and seen.pod in pids
        ]
        self.hits += met
        self.done += len(pids)
        self.fruitless += 0 if met else len(pids)
        return len(met)

    def as_json(self) -> list[dict[str, Any]]:
        """Return a row a hit; times in ms."""
        rows = []
        for hit in self.hits:
            reading = hit.talk.whole()
            text_ms = hit.first_text_ms()
            rows.append(
                {
                    "fault": hit.fault,
                    "turn": hit.talk.turn,
                    "stored_frames": hit.last_seq,
                    "first_text_ms": None if text_ms is None else round(text_ms, 1),
                    "state": reading.state,
                    "restarts": reading.restarts,
                }
            )
        return rows
