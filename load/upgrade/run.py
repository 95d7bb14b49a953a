"""One run: clients talk without end while every process becomes the other version, thrice."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

from kotaemon_node.chaos.notes import Notes
from kotaemon_node.chaos.report import seen_by_clients
from kotaemon_node.chaos.run import read_histories
from kotaemon_node.chaos.store import StoreView
from kotaemon_node.chaos.target import NotInTime
from kotaemon_node.chaos.writers import Writers
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.local import control
from kotaemon_node.local.errors import LocalError
from kotaemon_node.proof import check
from kotaemon_node.proof.facts import Effect
from load import surroundings
from load.chaos.model import PACE
from load.chaos.scene import ASKED, WORKERS, Scene, scene, until_known
from load.upgrade.course import COORDINATOR, Step, course
from load.upgrade.crossing import Owners
from load.upgrade.programs import Name, Program, Switch

# A turn takes longer than a leaving pod waits for it, so that restarts hand turns over.
_PACE: Final = {**PACE, "token_ms": 150.0}
_READY_S: Final = 120.0
_TURN_S: Final = 20.0
_LOOK_S: Final = 0.05

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a run is made."""

    old: str
    """A commit or tag."""
    new: str = ""
    """Another one; empty: this tree, as it lies here."""
    clients: int = 20
    seed: int = 1
    side_by_side_s: float = 10.0
    """For how long nothing more is replaced, after each step."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What docs/how-to/upgrade.md asks to set while this old version still runs."""


def run_upgrade(wishes: Wishes, *, tell: Tell, log: Path | None = None) -> dict[str, Any]:
    """Start a cluster of the old version, replace everything, and return the figures.

    ``NoSuchCommit`` before anything is started.
    """
    with tempfile.TemporaryDirectory(prefix="kn-upgrade-") as folder:
        place = Path(folder)
        programs: dict[Name, Program] = {
            "old": Program.of_commit("old", wishes.old, place),
            "new": Program.of_commit("new", wishes.new, place)
            if wishes.new
            else Program.of_tree("new", place),
        }
        switch = Switch(place, programs["old"])
        settings = {**switch.settings(), **wishes.settings}
        tell(f"starting a cluster of {wishes.old}")
        with scene(place, pace=_PACE, settings=settings) as here:
            upgrade = _Upgrade(here, switch, programs, wishes, tell)
            found = upgrade.go(log or place / "log.jsonl")
    return {
        "commit": programs["new"].commit,
        "old": programs["old"].commit,
        "machine": surroundings.machine(),
        "load": os.getloadavg()[0],
        "settings": dict(wishes.settings),
        "workers": WORKERS,
        "writers": wishes.clients,
        "seed": wishes.seed,
        "side_by_side_s": wishes.side_by_side_s,
        "pace": _PACE,
        **found,
    }


def right(found: Mapping[str, Any]) -> bool:
    """Tell whether it shows what it should: nothing broken, and turns that crossed both ways."""
    outcomes = found["turns"]["outcomes"]
    wrong = found["violations"] or found["failures"] or found["reader_problems"]
    crossed = found["crossings"]
    both = crossed.get("old to new") and crossed.get("new to old")
    return not wrong and bool(both) and set(outcomes) <= {"done"}


class _Upgrade:
    """The course of one run."""

    def __init__(
        self,
        here: Scene,
        switch: Switch,
        programs: Mapping[Name, Program],
        wishes: Wishes,
        tell: Tell,
    ) -> None:
        self._here = here
        self._switch = switch
        self._programs = programs
        self._wishes = wishes
        self._tell = tell
        self._versions: dict[str, str] = {}
        """Incarnation to ``old`` or ``new``."""
        self._running: dict[str, Name] = {f"worker-{slot}": "old" for slot in range(WORKERS)} | {
            COORDINATOR: "old"
        }
        self._failures: list[str] = []
        self._steps: list[dict[str, Any]] = []

    def go(self, log: Path) -> dict[str, Any]:
        """Replace everything in order while clients talk; judge when they have left."""
        here, wishes = self._here, self._wishes
        target = here.target
        for name in target.workers():
            self._know(name)
        with Notes(log) as notes, StoreView(here.store.direct_url) as store:
            writers = Writers(
                target.url, notes, clients=wishes.clients, seed=wishes.seed, questions=ASKED
            )
            owners = Owners(writers, store)
            began_s = time.monotonic()
            with writers, owners:
                time.sleep(wishes.side_by_side_s)
                for step in course(WORKERS):
                    self._take(step, owners)
                    time.sleep(wishes.side_by_side_s)
                self._tell("waiting for the turns under way")
            seconds = time.monotonic() - began_s
            self._converge("in the end")
            read_histories(writers, self._tell)
            for key, times in here.tools.effects().items():
                for _ in range(times):
                    notes.add(Effect(0.0, key))
            self._tell("judging")
            violations = [str(one) for one in check(notes.facts())]
            return {
                "seconds": round(seconds, 1),
                "violations": violations,
                "failures": self._failures,
                **seen_by_clients(writers),
                "crossings": dict(sorted(owners.crossings(self._versions).items())),
                "effects": sum(here.tools.effects().values()),
                "steps": self._steps,
            }

    def _take(self, step: Step, owners: Owners) -> None:
        """Replace one process; what does not come back is told, and the course goes on."""
        self._switch.to(self._programs[step.to])
        began_s = time.monotonic()
        hit = 0
        try:
            if step.how == "kill":
                hit = self._kill(step.process, owners)
            else:
                hit = owners.on(step.process)
                self._restart(step.process)
            self._here.target.wait_ready(timeout_s=_READY_S)
            self._running[step.process] = step.to
            if step.process == COORDINATOR:
                self._converge(f"after the coordinator is {step.to}")
            else:
                self._know(step.process)
        except (NotInTime, LocalError, NodeError, OSError) as error:
            self._failures.append(f"{step.process} to {step.to}: {str(error)[:2000]}")
        took_s = time.monotonic() - began_s
        self._steps.append(
            {
                "process": step.process,
                "to": step.to,
                "how": step.how,
                "turns_on_it": hit,
                "ready_again_s": round(took_s, 1),
            }
        )
        shown = ", ".join(f"{name} {version}" for name, version in sorted(self._running.items()))
        self._tell(f"{step.how} of {step.process}: {hit} turns on it, {took_s:.1f} s; {shown}")

    def _restart(self, process: str) -> None:
        control.stop_one(self._here.target.folder, process)
        control.start_one(self._here.target.folder, process, progress=lambda *_: None)

    def _kill(self, process: str, owners: Owners) -> int:
        """Kill it when turns run on it; it comes back by itself. Return how many there were."""
        deadline_s = time.monotonic() + _TURN_S
        while not (hit := owners.on(process)) and time.monotonic() < deadline_s:
            time.sleep(_LOOK_S)
        pid = self._here.target.kill(process, signal.SIGKILL)
        self._here.target.wait_replaced(process, pid)
        return hit

    def _know(self, process: str) -> None:
        """Note the incarnation of a worker; make sure that it is the version that it should be."""
        port = self._here.target.row(process)["port"]
        address = f"http://127.0.0.1:{port}"
        incarnation = requests.get(f"{address}/readyz", timeout=10).json()["incarnation"]
        metrics = requests.get(f"{address}/metrics", timeout=10).text
        wanted = self._running[process]
        said = next(line for line in metrics.splitlines() if line.startswith("kotaemon_build_info"))
        if f'+{wanted}"' not in said:
            self._failures.append(f"{process} should be {wanted} and says {said}")
        self._versions[incarnation] = wanted

    def _converge(self, when: str) -> None:
        if until_known(self._here) is None:
            self._failures.append(f"{when}: not every pod answers from the newest revision")
