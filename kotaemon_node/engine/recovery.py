"""Recovery: every pod sweeps the index of running turns and takes over what nobody executes.

Suspicion may be wrong at any time; the fence keeps it safe, and ``owners`` keeps it rare. A sweep
takes over at most ``SWEEP_TURNS_MAX`` turns.

What all pods read of the index does not grow with their number: where there are more than
``SWEEP_LOOKS``, each looks at each part of it by chance, so that ``SWEEP_LOOKS`` pods do in
``SWEEP_S``. Chance needs no agreement: whoever died is missed by nobody.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Sealed, Unavailable
from kotaemon_node.engine.owners import Owners
from kotaemon_node.engine.turns import TurnEngine
from kotaemon_node.ports.sessions import ALL_SHARDS, Orphan, SessionStore

_log = structlog.get_logger(__name__)


class Verdict(Enum):
    """What is to be done with an entry of the index."""

    LEAVE = "leave"
    FORGET = "forget"
    RESEND = "resend"
    TAKE = "take"


def judge(
    orphan: Orphan,
    *,
    lost: Callable[[str], bool],
    believing: bool,
    mine: str,
    executing: bool,
) -> Verdict:
    """Decide about one entry. ``lost`` tells of an incarnation; ``mine`` is this pod's.

    ``believing``: the store has answered for so long that its silence about a turn means something.
    """
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
    # Whoever lives ends its turns by their own time limits; one that hangs is past that.
    stuck = believing and orphan.silent_s >= limits.STUCK_TURN_S
    return Verdict.TAKE if stuck or lost(orphan.owner) else Verdict.LEAVE


class Recovery:
    """The sweep of one pod. ``draining`` pods take nothing."""

    def __init__(
        self,
        *,
        owner: str,
        sessions: SessionStore,
        owners: Owners,
        engine: TurnEngine,
        draining: Callable[[], bool],
        count_unsent: Callable[[int], None] = lambda turns: None,
    ) -> None:
        """``count_unsent`` is told of how many turns events wait, by what a sweep looked at."""
        self._owner = owner
        self._sessions = sessions
        self._owners = owners
        self._engine = engine
        self._draining = draining
        self._count_unsent = count_unsent

    def sweep(self, *, chance: Callable[[], float] = lambda: 0.0) -> int:
        """Look through this pod's share of the index; return how many turns were taken over.

        ``chance`` returns a number in [0, 1), another one each time; always 0 looks at all of it.
        """
        shards = self._looked_at(chance)
        if self._draining() or not shards:
            return 0
        try:
            found = self._sessions.orphans(limit=limits.SWEEP_TURNS_MAX * 4, shards=shards)
            return self._treat(found, of_all=len(shards) / limits.RUNNING_SHARDS)
        except Unavailable as error:
            _log.warning("sweep_failed", error=str(error))
            return 0

    def _looked_at(self, chance: Callable[[], float]) -> Sequence[int]:
        share = limits.SWEEP_LOOKS / self._owners.pods
        return ALL_SHARDS if share >= 1 else [it for it in ALL_SHARDS if chance() < share]

    def _treat(self, orphans: Sequence[Orphan], *, of_all: float) -> int:
        taken = 0
        unsent: list[Orphan] = []
        for orphan in orphans:
            try:
                may_take = taken < limits.SWEEP_TURNS_MAX
                taken += self._treat_one(orphan, may_take=may_take, unsent=unsent)
            except Unavailable:
                raise
            except Sealed as error:  # told to whoever asks for it, or another pod's
                _log.warning("turn_sealed", turn_id=orphan.key.turn_id, reason=str(error))
            except Exception:  # noqa: BLE001 - one entry that cannot be read must not hide the rest
                _log.exception("orphan_not_treated", turn_id=orphan.key.turn_id)
        self._count_unsent(round(len(unsent) / of_all))
        self._engine.resend(unsent)
        return taken

    def _treat_one(self, orphan: Orphan, *, may_take: bool, unsent: list[Orphan]) -> int:
        """Return how many turns were taken over: one at most. Adds to ``unsent``."""
        verdict = judge(
            orphan,
            lost=partial(self._owners.lost, waited_for=False),
            believing=self._owners.may_judge(),
            mine=self._owner,
            executing=self._engine.executes(orphan.key),
        )
        match verdict:
            case Verdict.FORGET:
                self._sessions.forget(orphan.key, older_than_s=limits.RUNNING_ENTRY_YOUNG_S)
            case Verdict.RESEND:
                unsent.append(orphan)
            case Verdict.TAKE if may_take:
                return int(self._engine.take(orphan.key, from_owner=orphan.owner))
            case Verdict.TAKE | Verdict.LEAVE:
                pass
        return 0
