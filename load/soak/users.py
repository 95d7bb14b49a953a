"""All users of a soak, in a process of their own.

    python -m load.soak.users < plan.json

The plan is a JSON object of the fields of ``Plan``; each line of the answer is one of ``Row``.
Ends by itself, or soon after SIGTERM.
"""

import heapq
import itertools
import json
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, fields
from itertools import accumulate
from typing import Any, Final

from load.bench.speed.corpus import questions
from load.soak.lines import Lines
from load.soak.plan import Plan, Row, up_ms
from load.soak.question import ANSWER_S
from load.soak.tally import Tally
from load.soak.user import TOLD_S, User

_OPEN_WITHIN_S: Final = 180.0
"""Beyond what the pace of opening takes."""
_TURN_S: Final = 0.02
_LOOK_S: Final = 2.0


class Asked:
    """What is asked: some questions again and again, and new ones."""

    def __init__(self, plan: Plan, chance: random.Random) -> None:
        self._chance = chance
        self._fresh_share = plan.fresh
        self._fresh = questions(plan.documents, first=plan.known)
        self._known = list(itertools.islice(questions(plan.documents), plan.known))
        weights = (1.0 / (place + 1) ** plan.skew for place in range(plan.known))
        self._weights = list(accumulate(weights))

    def next(self) -> str:
        """Return what somebody asks now."""
        if self._chance.random() < self._fresh_share:
            return next(self._fresh)
        return self._chance.choices(self._known, cum_weights=self._weights)[0]


class Crowd:
    """All users; what is due, when."""

    def __init__(self, plan: Plan, *, told: Callable[[Row], None]) -> None:
        self._plan = plan
        self._told = told
        self._chance = random.Random(plan.seed)
        self._asked = Asked(plan, self._chance)
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = itertools.count()
        self._opened = 0
        self._began_s = self._row_s = self._end_s = 0.0
        self._cpu_s = 0.0
        self._looked_s = 0.0
        self.stopped = False
        self.lines = Lines(plan.port)
        self.tally = Tally()
        self.users = [User(self, turns_max=plan.turns) for _ in range(plan.users)]

    def run(self) -> None:
        """Open, ask, let the last answers end. Raises ``TimeoutError`` where not all connect."""
        self._row_s, self._cpu_s = time.monotonic(), time.process_time()
        self._open()
        if not self.stopped:
            self._ask()
        self.lines.close_all()

    def later(self, after_s: float, do: Callable[[float], None]) -> None:
        """Have something done; it is told when it was due."""
        self._at(time.monotonic() + after_s, do)

    def between(self, least: float, most: float) -> float:
        """Return a chance number."""
        return self._chance.uniform(least, most)

    def opened(self) -> None:
        """One more user is connected for the first time."""
        self._opened += 1

    def _open(self) -> None:
        plan, now_s = self._plan, time.monotonic()
        for number, user in enumerate(self.users):
            self._at(now_s + number / plan.open_per_s, user.come)
        until_s = now_s + plan.users / plan.open_per_s + _OPEN_WITHIN_S
        while self._opened < plan.users and not self.stopped:
            if time.monotonic() > until_s:
                raise TimeoutError(
                    f"{plan.users - self._opened} of {plan.users} users did not connect:"
                    f" {dict(self.tally.refused)}"
                )
            self._turn()

    def _ask(self) -> None:
        plan = self._plan
        self._began_s = time.monotonic()
        self._end_s = self._began_s + plan.seconds
        for user in self.users:
            self._ask_at(user, self._began_s + self.between(0.0, plan.every_s))
            self._cut_later(user)
        self._row(opening=True)
        while time.monotonic() < self._end_s and not self.stopped:
            self._turn()
        self._end_s = min(self._end_s, time.monotonic())
        until_s = time.monotonic() + ANSWER_S + TOLD_S
        while not all(user.settled for user in self.users) and time.monotonic() < until_s:
            self._turn()
        self._look(time.monotonic())
        self._row()

    def _ask_at(self, user: User, due_s: float) -> None:
        def do(due_s: float) -> None:
            if due_s < self._end_s:
                self._ask_at(user, due_s + self._plan.every_s)
                self._once_connected(user, due_s, self._asked.next())

        self._at(due_s, do)

    def _once_connected(self, user: User, due_s: float, question: str) -> None:
        """Ask as soon as the session is followed: the page does not let one ask before."""
        if user.connected or time.monotonic() > due_s + self._plan.every_s:
            user.ask(due_s, question)
            return
        self.later(0.1, lambda _: self._once_connected(user, due_s, question))

    def _cut_later(self, user: User) -> None:
        if self._plan.cuts_per_hour <= 0:
            return

        def do(_due_s: float) -> None:
            if time.monotonic() < self._end_s:
                user.cut()
                self._cut_later(user)

        self.later(self._chance.expovariate(self._plan.cuts_per_hour / 3_600), do)

    def _at(self, at_s: float, do: Callable[[float], None]) -> None:
        heapq.heappush(self._due, (at_s, next(self._numbers), do))

    def _turn(self) -> None:
        now_s = time.monotonic()
        while self._due and self._due[0][0] <= now_s:
            due_s, _, do = heapq.heappop(self._due)
            self.tally.lag_ms[up_ms(now_s - due_s)] += 1
            do(due_s)
            now_s = time.monotonic()
        if now_s - self._looked_s > _LOOK_S:
            self._look(now_s)
        if now_s - self._row_s >= self._plan.row_s:
            self._row(opening=not self._began_s)
        due_in_s = self._due[0][0] - now_s if self._due else _TURN_S
        self.lines.turn(max(0.0, min(_TURN_S, due_in_s)))

    def _look(self, now_s: float) -> None:
        self._looked_s = now_s
        for user in self.users:
            user.look(now_s)

    def _row(self, *, opening: bool = False) -> None:
        now_s, cpu_s = time.monotonic(), time.process_time()
        tally, self.tally = self.tally, Tally()
        # Not asdict: a Counter of it would count the pairs.
        counted = {one.name: getattr(tally, one.name) for one in fields(Tally)}
        self._told(
            Row(
                at_s=round(now_s - self._began_s, 2) if self._began_s and not opening else 0.0,
                took_s=round(now_s - self._row_s, 3),
                connected=sum(user.connected for user in self.users),
                cpu_s=round(cpu_s - self._cpu_s, 3),
                **{name: dict(it) if isinstance(it, dict) else it for name, it in counted.items()},
            )
        )
        self._row_s, self._cpu_s = now_s, cpu_s


def main() -> int:
    """Run as planned."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(Plan(**json.load(sys.stdin)), told=_say)

    def stop(*_: Any) -> None:
        crowd.stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started us decides
    try:
        crowd.run()
    except TimeoutError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _say(row: Row) -> None:
    print(json.dumps(asdict(row)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
