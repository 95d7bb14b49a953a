"""Cancellations, each with a pod that is lost on its way: what the shop did, what was told.

A crash ends the task where it is; what it had sent goes on. A freeze lets the task go on later
as if no time had passed: beside the pod that took the turn over, behind its commit, or when all is
settled; sometimes deaf to what it should have heard meanwhile. Where a request is on its way, the
shop gets it late, but within the horizon that its tool declares.
"""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from kotaemon_node.domain.turn import State
from kotaemon_node.engine.calling import Calling
from kotaemon_node.engine.follow_ups import FollowUps
from kotaemon_node.engine.reconciling import Reconciling
from kotaemon_node.ports.later import RECONCILE, Again, LaterJob
from load.effects.pods import DURING, Place, ShopPod, SkewedClock, Trap
from load.effects.shops import Kind, Shop
from tests.engine_pods import ANYBODY, key
from tests.fakes.later import MemoryLater
from tests.redis_server import RedisServer

Mode = Literal["crash", "freeze", "cancel", "interrupt"]
Truth = Literal["done", "not done", "unknown"]
Moment = Literal["beside", "behind", "settled"]

_SAID: Final[tuple[tuple[str, Truth], ...]] = (
    ("Done:", "done"),
    ("This went through, once", "done"),
    ("nothing was changed", "not done"),
    ("I don't know", "unknown"),
    ("I could not find out", "unknown"),
)
_STEP_S: Final = 5.0
_SETTLED_S: Final = 400.0
"""Longer than every deadline and horizon of these tools."""


@dataclass(frozen=True, slots=True)
class Case:
    """What happens to one cancellation."""

    shop: Kind
    place: Place
    mode: Mode
    moment: Moment
    deaf: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended."""

    effects: int
    told: tuple[Truth, ...]
    """What the user was told of it, in order: the turn's answer, then follow-ups."""
    texts: tuple[str, ...]

    @property
    def truth(self) -> Truth:
        """What the shop did."""
        return "done" if self.effects else "not done"

    def problem(self, case: Case) -> str:
        """Return what is wrong, "" where nothing is."""
        if self.effects > 1:
            return f"the order was cancelled {self.effects} times"
        if any(told not in {"unknown", self.truth} for told in self.told):
            return f"told {self.told} of what is {self.truth}"
        if len(self.told) > 2:
            return f"told more than once: {self.told}"
        stopped = case.mode in {"cancel", "interrupt"}
        findable = case.shop == "lookup" or (case.shop == "keys" and not stopped)
        if findable and self.told[-1] == "unknown":
            return "the truth can be found out and was not told"
        return ""


def case_of(shop: Kind, place: Place, mode: Mode, chance: random.Random) -> Case:
    """Return a case with its moment chosen by chance."""
    moments: list[Moment] = ["beside", "behind"]
    if mode == "freeze" and place != DURING[0]:
        moments.append("settled")
    return Case(shop, place, mode, chance.choice(moments), deaf=chance.random() < 0.5)


class World:
    """One shop, one store and two pods, in which cases happen one after the other."""

    def __init__(self, server: RedisServer, shop: Shop) -> None:
        self.clock = SkewedClock(server)
        self.later = MemoryLater(self.clock.monotonic_s)
        self.shop = shop
        self.dead, self.heir = (
            ShopPod(name, server, shop, later=self.later, clock=self.clock)
            for name in ("dead", "heir")
        )
        toolbox = self.heir.toolbox
        self.reconciling = Reconciling(
            Calling(toolbox, clock=self.clock),
            specs=toolbox.specs,
            turn_of=lambda turn: self.heir.sessions.turn(turn, ANYBODY),
            later=self.later,
            follow_ups=FollowUps(self.later),
            clock=self.clock,
        )
        self._count = 0

    def happens(self, case: Case) -> Ended:
        """Let one cancellation be disturbed as ``case`` says, and return how it ended."""
        self._count += 1
        turn_id, order = f"t{self._count}", str(1000 + self._count)
        self.later.kept.clear()
        trap = Trap(case.place)
        self.dead.trapped(trap, deaf=case.deaf)
        with self._held(trap):
            self.dead.submit(turn_id, message=f"cancel {order}")
            assert trap.reached.wait(60), f"{case} was not reached"
            trap.crashed = case.mode == "crash"
            self._taken(case, turn_id)
            if case.moment == "beside":
                self._released(case, trap, order)
            self._turn_ended(turn_id)
            if case.moment == "behind":
                self._released(case, trap, order)
            self._settled()
            if case.moment == "settled":
                self._released(case, trap, order)
                self._settled()
        trap.go.set()
        self.dead.until(lambda: self.shop.quiet)
        if not trap.crashed:
            self.dead.until_idle()
        self.heir.until_idle()
        return self._told(turn_id, order)

    @contextmanager
    def _held(self, trap: Trap) -> Iterator[None]:
        self.shop.at = lambda place, order: trap.at_shop(place)
        try:
            yield
        finally:
            self.shop.at = lambda place, order: None

    def _released(self, case: Case, trap: Trap, order: str) -> None:
        """Let go on what was held, and see to it that the shop got what was on its way."""
        trap.go.set()
        if case.place in DURING:
            self.dead.until(lambda: self.shop.cancelled[order] > 0 and self.shop.quiet)

    def _taken(self, case: Case, turn_id: str) -> None:
        """Have the turn ended by somebody else."""
        if case.mode == "cancel":
            self.heir.engine.cancel(key(turn_id), ANYBODY)
        elif case.mode == "interrupt":
            self.heir.submit(f"{turn_id}-next", message="hello", on_busy="interrupt")
        else:
            self.heir.judges()
            assert self.heir.recovery.sweep() == 1

    def _turn_ended(self, turn_id: str) -> None:
        turn = self.heir.engine.wait(key(turn_id), ANYBODY, timeout_s=60)
        assert turn is not None
        assert turn.state is not State.FAILED, turn.error

    def _settled(self) -> None:
        """Carry out the jobs of the retry queue as time goes by, until none can be due any more."""
        passed_s = 0.0
        while passed_s < _SETTLED_S and any(
            it.job.kind == RECONCILE and it.state == "waiting" for it in self.later.kept.values()
        ):
            for leased in self.later.take({RECONCILE: 8}, holder="w", lease_s=60):
                self._carried_out(leased.job, lambda: self.later.done(leased))  # noqa: B023 - now
            self.clock.skew_s += _STEP_S
            passed_s += _STEP_S

    def _carried_out(self, job: LaterJob, done: Callable[[], None]) -> None:
        try:
            self.reconciling.reconcile(job)
        except Again:
            threading.Event().wait(0.01)  # its lease ends as time is put forward
            return
        done()

    def _told(self, turn_id: str, order: str) -> Ended:
        turn = self.heir.sessions.turn(key(turn_id), ANYBODY)
        texts = [turn.answer] if turn.state is State.DONE else ["I don't know: it was stopped"]
        for it in self.later.kept.values():
            if it.job.kind == "follow_up":
                texts.append(it.job.fields["text"]["en"])
        told = tuple(next(truth for said, truth in _SAID if said in text) for text in texts)
        return Ended(self.shop.cancelled[order], told, tuple(texts))
