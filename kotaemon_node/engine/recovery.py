"""Recovery: every pod sweeps the index of running turns and takes over what nobody executes.

Suspicion may be wrong at any time; the fence keeps it safe. Two guards keep it rare:
1. No pod judges another until the store has answered it for twice the heartbeat's life without a
   gap. Else one pause of the store, in which all heartbeats expire, would move every live turn.
2. A sweep takes over at most ``SWEEP_TURNS_MAX`` turns.
"""

from collections.abc import Callable, Sequence
from enum import Enum

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.engine.turns import TurnEngine
from kotaemon_node.ports.knowledge import Presence
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.sessions import Orphan, SessionStore

_log = structlog.get_logger(__name__)


class Verdict(Enum):
    """What is to be done with an entry of the index."""

    LEAVE = "leave"
    FORGET = "forget"
    RESEND = "resend"
    TAKE = "take"


def judge(orphan: Orphan, *, alive: frozenset[str], mine: str, executing: bool) -> Verdict:
    """Decide about one entry. ``alive``: incarnations that live; ``mine``: this pod's."""
    young = orphan.age_s < limits.RUNNING_ENTRY_YOUNG_S
    if orphan.committed:
        # Its committer sends the events within moments, unless it died.
        return Verdict.LEAVE if young else Verdict.RESEND
    if orphan.state == "":
        # The index is written before the claim; a claim may still come, but not 5 s later.
        return Verdict.LEAVE if young else Verdict.FORGET
    if orphan.state == "queued":
        # A pod that drains leaves the next turn to others. Only the next one is really taken.
        return Verdict.LEAVE if orphan.blocked else Verdict.TAKE
    if orphan.owner == mine:
        # Ours, but no task of ours has it: the store was away when it should have ended.
        return Verdict.LEAVE if executing or young else Verdict.TAKE
    return Verdict.LEAVE if orphan.owner in alive else Verdict.TAKE


class Recovery:
    """The sweep of one pod. ``draining`` pods take nothing."""

    def __init__(
        self,
        *,
        owner: str,
        sessions: SessionStore,
        presence: Presence,
        engine: TurnEngine,
        clock: Clock,
        draining: Callable[[], bool],
    ) -> None:
        self._owner = owner
        self._sessions = sessions
        self._presence = presence
        self._engine = engine
        self._clock = clock
        self._draining = draining
        self._answering_since_s: float | None = None
        self._answered_at_s = 0.0

    def store_answered(self) -> None:
        """Note that a heartbeat got through; after a gap all judging begins anew."""
        now_s = self._clock.monotonic_s()
        if self._answering_since_s is None or now_s - self._answered_at_s > limits.POD_TTL_S:
            self._answering_since_s = now_s
        self._answered_at_s = now_s

    def store_silent(self) -> None:
        """Note that a heartbeat did not get through: all judging begins anew."""
        self._answering_since_s = None

    def may_judge(self) -> bool:
        """Tell whether the store has answered for long enough."""
        since_s = self._answering_since_s
        now_s = self._clock.monotonic_s()
        if since_s is None or now_s - self._answered_at_s > limits.POD_TTL_S:
            return False
        return now_s - since_s >= 2 * limits.POD_TTL_S

    def sweep(self) -> int:
        """Look through the index once; return how many turns were taken over."""
        if self._draining() or not self.may_judge():
            return 0
        try:
            orphans = self._sessions.orphans(limit=limits.SWEEP_TURNS_MAX * 4)
            alive = frozenset(str(pod["incarnation"]) for pod in self._presence.pods())
            # The reads themselves may have waited for a store that was away.
            return self._treat(orphans, alive) if self.may_judge() else 0
        except Unavailable as error:
            _log.warning("sweep_failed", error=str(error))
            return 0

    def _treat(self, orphans: Sequence[Orphan], alive: frozenset[str]) -> int:
        taken = 0
        for orphan in orphans:
            verdict = judge(
                orphan,
                alive=alive,
                mine=self._owner,
                executing=self._engine.executes(orphan.key),
            )
            match verdict:
                case Verdict.LEAVE:
                    continue
                case Verdict.FORGET:
                    self._sessions.forget(orphan.key, older_than_s=limits.RUNNING_ENTRY_YOUNG_S)
                case Verdict.RESEND:
                    self._engine.resend(orphan.key)
                case Verdict.TAKE if taken < limits.SWEEP_TURNS_MAX:
                    taken += self._take(orphan)
                case Verdict.TAKE:
                    continue
        return taken

    def _take(self, orphan: Orphan) -> int:
        work = self._sessions.seize(orphan.key, self._owner, from_owner=orphan.owner)
        if work is None:
            return 0
        _log.info("turn_taken_over", turn_id=orphan.key.turn_id, from_owner=orphan.owner)
        self._engine.start(work)
        return 1
