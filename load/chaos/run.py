"""One run: writers talk, faults follow each other in the order of the seed, then all is judged."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from kotaemon_node.proof import Violation, check
from kotaemon_node.proof.facts import Effect
from load.chaos.clients import Writers
from load.chaos.faults import FAULTS, KILLS_PER_ROUND, Fault
from load.chaos.hits import Strikes
from load.chaos.model import PACE
from load.chaos.notes import Notes
from load.chaos.scene import Scene, scene, until_known

_SETTLE_S = 120.0
_CALM_S = 3.0
_TRIES_FINAL = 20


@dataclass(slots=True)
class Spell:
    """One fault from its beginning until everything was ready again; ``time.monotonic()``."""

    fault: Fault
    began_s: float
    ended_s: float
    done: dict[str, Any]


@dataclass(slots=True)
class Run:
    """All that a run left behind, to be reported."""

    seed: int
    clients: int
    pace: Mapping[str, float]
    began_s: float = 0.0
    ended_s: float = 0.0
    writers: Writers | None = None
    strikes: Strikes | None = None
    spells: list[Spell] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What went wrong beside the promises: the cluster did not come back, knowledge was late."""
    known_s: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    model: dict[str, int] = field(default_factory=dict)


def run(
    *,
    seed: int,
    clients: int,
    seconds: float,
    faults: Sequence[str],
    tell: Callable[[str], None],
    log: Path | None = None,
    pace: Mapping[str, float] = PACE,
) -> Run:
    """Disturb a new cluster for so long and judge what clients saw of it."""
    found = Run(seed, clients, pace)
    with tempfile.TemporaryDirectory(prefix="kn-chaos-") as folder:
        place = Path(folder)
        tell("starting a cluster")
        with scene(place, pace=pace) as here, Notes(log or place / "log.jsonl") as notes:
            writers = found.writers = Writers(here.cluster.url, notes, clients=clients, seed=seed)
            strikes = found.strikes = Strikes(here, writers)
            found.began_s = time.monotonic()
            with writers:
                _disturb(found, strikes, seconds=seconds, faults=faults, tell=tell)
                tell("no more faults; waiting for the turns under way")
            found.ended_s = time.monotonic()
            _settle(found, here, notes, tell)
            tell("judging")
            found.violations = check(notes.facts())
    return found


def order(seed: int, faults: Sequence[str]) -> Iterator[Fault]:
    """Yield faults for ever: rounds that have each of them once, and kills in between."""
    chance = random.Random(seed)
    while True:
        this = [FAULTS[name] for name in faults]
        if "kill_worker" in faults:
            this += [FAULTS["kill_worker"]] * (min(KILLS_PER_ROUND, len(faults)) - 1)
        chance.shuffle(this)
        yield from this


def _disturb(
    found: Run,
    strikes: Strikes,
    *,
    seconds: float,
    faults: Sequence[str],
    tell: Callable[[str], None],
) -> None:
    chance = random.Random(f"{found.seed}/faults")
    time.sleep(_CALM_S)
    for fault in order(found.seed, faults):
        left_s = found.began_s + seconds - time.monotonic()
        if left_s <= 0:
            return
        began_s = time.monotonic()
        try:
            done = dict(fault.does(strikes, chance))
            strikes.scene.cluster.wait_ready(timeout_s=_SETTLE_S)
        except (AssertionError, RuntimeError, redis.RedisError) as error:
            # The run goes on: what clients saw is judged in any case.
            found.failures.append(f"{fault.name}: {str(error)[:2000]}")
            done = {"failed": 1}
        spell = Spell(fault, began_s, time.monotonic(), done)
        found.spells.append(spell)
        turns = found.writers.talks if found.writers else []
        tell(
            f"{int(time.monotonic() - found.began_s):>4} s  {fault.number:>2} {fault.name} {done},"
            f" ready again after {spell.ended_s - began_s:.1f} s; {len(turns)} turns,"
            f" {len(strikes.hits)} hit"
        )
        time.sleep(chance.uniform(0, _CALM_S))


def _settle(found: Run, here: Scene, notes: Notes, tell: Callable[[str], None]) -> None:
    """Read what is left when everything has come to rest."""
    here.publisher.stop()
    with suppress(AssertionError):
        here.cluster.wait_ready(timeout_s=_SETTLE_S)
    found.known_s = until_known(here)
    if found.known_s is None:
        found.failures.append("knowledge: not every pod answers from the newest revision")
    writers = found.writers
    assert writers is not None
    tell(f"reading {len(writers.sessions())} histories")
    for session in writers.sessions():
        for _ in range(_TRIES_FINAL):
            if writers.read(session, client="judge", final=True):
                break
            time.sleep(0.2)
    for key, times in here.tools.effects().items():
        for _ in range(times):
            notes.add(Effect(0.0, key))
    for name in ("kotaemon_takeovers_total", "kotaemon_fenced_writes_total"):
        found.metrics[name] = here.metric(name)
    found.model = dict(here.model.stats())
