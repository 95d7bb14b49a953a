"""One run: writers talk, faults follow each other in the order of the seed, then all is judged."""

import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kotaemon_node.chaos.faults import Fault
from kotaemon_node.chaos.notes import Notes
from kotaemon_node.chaos.phases import Aim
from kotaemon_node.chaos.schedule import FILLER, order
from kotaemon_node.chaos.store import StoreView
from kotaemon_node.chaos.strikes import Strikes
from kotaemon_node.chaos.target import NotInTime, Target
from kotaemon_node.chaos.writers import QUESTIONS, Writers
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.local.errors import LocalError
from kotaemon_node.proof import Fact, Violation, check

_SETTLE_S = 120.0
_CALM_S = 2.0
_TRIES_FINAL = 20
_NO_KILL_PAUSE_S = 0.2
_METRICS = ("kotaemon_takeovers_total", "kotaemon_fenced_writes_total")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run disturbs, beside how."""

    target: Target
    redis_url: str
    """Where the turns can be looked at: the store itself, not a relay before it."""
    questions: Sequence[str] = QUESTIONS
    label: str = ""
    """Begins the ids of the sessions."""
    quiet_s: float = 0.0
    tool_s: float = 0.0
    """Both as in ``phases.Aim``."""


@dataclass(frozen=True, slots=True)
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
    began_s: float = 0.0
    ended_s: float = 0.0
    writers: Writers | None = None
    strikes: Strikes | None = None
    workers: int = 0
    spells: list[Spell] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What went wrong beside the promises: the cluster did not come back, knowledge was late."""
    known_s: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    """What only some scenes have to tell."""


def run(
    around: Surroundings,
    faults: Sequence[Fault],
    *,
    seed: int,
    clients: int,
    seconds: float,
    log: Path,
    tell: Tell,
    rest: Callable[[Run], Iterable[Fact]] = lambda _: (),
) -> Run:
    """Disturb a cluster for so long and judge what clients saw of it.

    ``rest`` is called when everything is quiet; what it returns is judged as well. Raises whatever
    interrupts it, when all clients have left; ``LocalError`` where somebody stopped the cluster.
    """
    found = Run(seed, clients, workers=len(around.target.workers()))
    with Notes(log) as notes, StoreView(around.redis_url) as store:
        writers = found.writers = Writers(
            around.target.url,
            notes,
            clients=clients,
            seed=seed,
            label=around.label,
            questions=around.questions,
        )
        aim = Aim(writers, quiet_s=around.quiet_s, tool_s=around.tool_s)
        strikes = found.strikes = Strikes(around.target, writers, store, aim)
        found.began_s = time.monotonic()
        with writers:
            _Disturbance(found, strikes, faults, tell).go(seconds)
            tell("no more faults; waiting for the turns under way")
        found.ended_s = time.monotonic()
        _settle(found, around.target, tell)
        for fact in rest(found):
            notes.add(fact)
        tell("judging")
        found.violations = check(notes.facts())
    return found


class _Disturbance:
    """The faults of a run, one after the other."""

    def __init__(self, found: Run, strikes: Strikes, faults: Sequence[Fault], tell: Tell) -> None:
        self._found = found
        self._strikes = strikes
        self._faults = faults
        self._filler = next((fault for fault in faults if fault.name == FILLER), None)
        self._tell = tell
        self._chance = random.Random(f"{found.seed}/faults")
        self._stopped = False

    def go(self, seconds: float) -> None:
        """Disturb for so long, and longer where some fault has not had its turn."""
        began_s = self._found.began_s
        time.sleep(_CALM_S)
        round_steps = max(1, sum(fault is not self._filler for fault in self._faults))
        for number, step in enumerate(order(self._found.seed, self._faults, seconds=seconds)):
            until_s = began_s + min(seconds, step.due_s)
            while self._filler and time.monotonic() < until_s and not self._stopped:
                self._do(self._filler)
            if self._stopped:
                self._tell("the cluster was stopped; waiting for the clients to leave")
                raise LocalError("The cluster was stopped meanwhile, so nothing was judged.")
            if number >= round_steps and time.monotonic() > began_s + seconds:
                return
            if step.fault is self._filler:
                self._do(step.fault)
            elif step.fault.beside:
                self._beside(step.fault)
            else:
                self._alone(step.fault)

    def _alone(self, fault: Fault) -> None:
        """Do it to a cluster that is whole, and wait until it is whole again."""
        try:
            self._strikes.target.wait_ready(timeout_s=_SETTLE_S)
        except (NotInTime, LocalError) as error:
            self._found.failures.append(f"before {fault.name}: {error}")
        self._do(fault, whole=True)

    def _beside(self, fault: Fault) -> None:
        """Do it while workers are killed."""
        thread = threading.Thread(target=self._do, args=(fault,))
        self._strikes.amid = fault.name
        thread.start()
        while thread.is_alive():
            if self._filler:
                self._do(self._filler)
            thread.join(_NO_KILL_PAUSE_S)
        self._strikes.amid = ""

    def _do(self, fault: Fault, *, whole: bool = False) -> None:
        found, strikes = self._found, self._strikes
        chance = random.Random(self._chance.random())
        began_s = time.monotonic()
        try:
            done = dict(fault.does(strikes, chance))
            if whole:
                strikes.target.wait_ready(timeout_s=_SETTLE_S)
        except (NotInTime, LocalError, NodeError, OSError) as error:
            # The run goes on: what clients saw is judged in any case.
            found.failures.append(f"{fault.name}: {str(error)[:2000]}")
            done = {"failed": 1}
            self._stopped |= isinstance(error, LocalError) and strikes.target.stopped
        found.spells.append(Spell(fault, began_s, time.monotonic(), done))
        if fault is self._filler and not done.get("kills"):
            time.sleep(_NO_KILL_PAUSE_S)
            return
        told = ", ".join(f"{name} {value}" for name, value in done.items())
        now_s = time.monotonic()
        self._tell(
            f"{int(now_s - found.began_s):>4} s  {fault.number:>2} {fault.shown}: {told};"
            f" {now_s - began_s:.1f} s; {len(strikes.writers.talks)} turns,"
            f" {len(strikes.hits)} hit"
        )


def _settle(found: Run, target: Target, tell: Tell) -> None:
    """Read what is left when everything has come to rest."""
    writers = found.writers
    assert writers is not None
    try:
        target.wait_ready(timeout_s=_SETTLE_S)
    except (NotInTime, LocalError) as error:
        found.failures.append(f"after the last fault: {error}")
    read_histories(writers, tell)
    for name in _METRICS:
        found.metrics[name] = target.metric(name)


def read_histories(writers: Writers, tell: Tell) -> None:
    """Read and note every session as it is in the end; only when all clients have left."""
    tell(f"reading {len(writers.sessions())} histories")
    for session in writers.sessions():
        for _ in range(_TRIES_FINAL):
            if writers.read(session, client="judge", final=True):
                break
            time.sleep(0.2)
