"""Which owners of turns are lost. Suspicion may be wrong at any time; the fence keeps it safe.

Two witnesses, each enough:
1. The owner's address refuses connections, or another incarnation answers there. That is how a
   killed process is noticed in milliseconds.
2. Its heartbeat has expired. This is believed only after the store has answered this pod for twice
   a heartbeat's life without a gap: else one pause of the store, in which all heartbeats expire,
   would move every live turn.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeVar

from kotaemon_node.domain import limits
from kotaemon_node.ports.knowledge import PodReport, Presence
from kotaemon_node.ports.peers import PeerRefused, Peers, PeerSilent
from kotaemon_node.ports.runtime import Clock

_REMEMBERED_MAX = 4_000  # a thousand pods, and those before them of three rolling updates
# A pause of the store so long can let a heartbeat expire that was sent just before the one here.
_GAP_S = limits.POD_TTL_S - limits.POD_HEARTBEAT_S
# A thousand readers of one dead pod come at once; one question answers them all.
_FRESH_S = 0.1
# A frozen pod leaves many turns; each question to it takes as long as silence is waited for.
_SILENT_S = 0.5

V = TypeVar("V")


class Owners:
    """Judges incarnations for one pod. Thread safe."""

    def __init__(self, *, mine: str, presence: Presence, peers: Peers, clock: Clock) -> None:
        self._mine = mine
        self._presence = presence
        self._peers = peers
        self._clock = clock
        self._answering_since_s: float | None = None
        self._answered_at_s = 0.0
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}
        self._asked_at_s: OrderedDict[str, float] = OrderedDict()
        """When the answer was here, or that there is none: who waited for it asks no more."""
        self._asked_living_at_s: OrderedDict[str, float] = OrderedDict()
        self._living_at_s: OrderedDict[str, float] = OrderedDict()
        self._addresses: OrderedDict[str, str] = OrderedDict()
        self._pods = 1
        self._gone: OrderedDict[str, float] = OrderedDict()
        """Incarnations whose process has ended, and since when that is known here."""
        self._misled: OrderedDict[str, None] = OrderedDict()
        """Those that lived on when their address had told of their end."""

    def store_answered(self) -> None:
        """Note that a heartbeat got through; after a gap all judging begins anew."""
        now_s = self._clock.monotonic_s()
        if self._answering_since_s is None or now_s - self._answered_at_s > _GAP_S:
            self._answering_since_s = now_s
        self._answered_at_s = now_s

    def store_silent(self) -> None:
        """Note that a heartbeat did not get through: all judging begins anew."""
        self._answering_since_s = None

    def may_judge(self) -> bool:
        """Tell whether the store has answered for long enough to believe what it lacks."""
        since_s = self._answering_since_s
        now_s = self._clock.monotonic_s()
        if since_s is None or now_s - self._answered_at_s > _GAP_S:
            return False
        return now_s - since_s >= 2 * limits.POD_TTL_S

    @property
    def pods(self) -> int:
        """How many pods served when this one looked last, itself among them; 1 at least."""
        return self._pods

    def learn(self, pods: Sequence[PodReport]) -> None:
        """Note who lives and where: for the time when a heartbeat that tells it is gone."""
        self._pods = max(1, sum(not pod.get("guest") for pod in pods))
        with self._lock:
            for pod in pods:
                self._learn(pod)

    def lost(self, owner: str, *, waited_for: bool = True) -> bool:
        """Tell whether this incarnation is known to execute nothing any more.

        Where somebody is ``waited_for`` the owner's address is asked. A sweep meets turns of all
        pods, and each pod sweeps: it asks ``SWEEP_ASKS_PER_S`` addresses, each in its turn, and
        goes by heartbeats between. May take a fraction of a second. Raises ``StoreUnavailable``.
        """
        if not owner:
            return True  # it was handed over, or never had one
        if owner == self._mine:
            return False
        with self._lock:
            asking = self._asking.setdefault(owner, threading.Lock())
        try:
            with asking:
                return self._lost(owner, waited_for)
        finally:
            with self._lock:
                if not asking.locked():
                    self._asking.pop(owner, None)

    def _lost(self, owner: str, waited_for: bool) -> bool:
        with self._lock:
            gone_at_s = self._gone.get(owner)
            asked_at_s = self._asked_at_s.get(owner)
            # What a sweep judged by a heartbeat alone is no answer for who waits.
            living = self._asked_living_at_s if waited_for else self._living_at_s
            living_at_s = living.get(owner)
        now_s = self._clock.monotonic_s()
        if _within(limits.POD_TTL_S, gone_at_s, now_s):
            return True
        if _within(_FRESH_S, living_at_s, now_s):
            return False
        report = self._presence.pod(owner)
        beating = report is not None
        with self._lock:
            if report is not None:
                self._learn(report)
            address = self._addresses.get(owner)
            if gone_at_s is not None and beating:
                # No dead process has a heartbeat so long after: its address leads elsewhere from
                # here, or is closed to us. Of this one only its heartbeat is believed.
                del self._gone[owner]
                _remember(self._misled, owner, None)
            misled = owner in self._misled
        if gone_at_s is not None and not misled:
            return True
        again_s = _FRESH_S if waited_for else max(_FRESH_S, self._pods / limits.SWEEP_ASKS_PER_S)
        # Who has no heartbeat is the exception, and asked more often.
        asks = not misled and not _within(again_s if beating else _SILENT_S, asked_at_s, now_s)
        if asks and address and self._is_gone_from(address, owner):
            self._note(self._gone, owner)
            return True
        if not beating and self.may_judge():
            # Not remembered: a frozen pod may wake up. And asked only now: the read may itself
            # have waited for a store that was away.
            return True
        self._note_living(owner, asked=asks)
        return False

    def _learn(self, pod: PodReport) -> None:
        _remember(self._addresses, str(pod["incarnation"]), str(pod.get("address", "")))

    def _note(self, table: OrderedDict[str, float], owner: str) -> None:
        with self._lock:
            _remember(table, owner, self._clock.monotonic_s())

    def _note_living(self, owner: str, *, asked: bool) -> None:
        self._note(self._living_at_s, owner)
        if asked:
            self._note(self._asked_living_at_s, owner)

    def _is_gone_from(self, address: str, owner: str) -> bool:
        try:
            return self._peers.incarnation_at(address) != owner
        except PeerRefused:
            return True
        except PeerSilent:
            return False
        finally:
            self._note(self._asked_at_s, owner)


def _within(duration_s: float, since_s: float | None, now_s: float) -> bool:
    return since_s is not None and now_s - since_s < duration_s


def _remember(table: OrderedDict[str, V], key: str, value: V) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > _REMEMBERED_MAX:
        table.popitem(last=False)
