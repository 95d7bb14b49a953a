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
from typing import TypeVar

from kotaemon_node.domain import limits
from kotaemon_node.ports.knowledge import Presence
from kotaemon_node.ports.peers import PeerRefused, Peers, PeerSilent
from kotaemon_node.ports.runtime import Clock

_REMEMBERED_MAX = 1_000
# A pause of the store so long can let a heartbeat expire that was sent just before the one here.
_GAP_S = limits.POD_TTL_S - limits.POD_HEARTBEAT_S
# A thousand readers of one dead pod come at once; one question answers them all.
_FRESH_S = 0.1

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
        self._addresses: OrderedDict[str, str] = OrderedDict()
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

    def lost(self, owner: str) -> bool:
        """Tell whether this incarnation is known to execute nothing any more.

        May take a fraction of a second. Raises ``StoreUnavailable``.
        """
        if not owner:
            return True  # it was handed over, or never had one
        if owner == self._mine:
            return False
        with self._lock:
            asking = self._asking.setdefault(owner, threading.Lock())
        try:
            with asking:
                return self._lost(owner)
        finally:
            with self._lock:
                if not asking.locked():
                    self._asking.pop(owner, None)

    def _lost(self, owner: str) -> bool:
        with self._lock:
            gone_at_s = self._gone.get(owner)
            asked_at_s = self._asked_at_s.get(owner)
        if asked_at_s is not None and self._clock.monotonic_s() - asked_at_s < _FRESH_S:
            return False
        now_s = self._clock.monotonic_s()
        if gone_at_s is not None and now_s - gone_at_s < limits.POD_TTL_S:
            return True
        beating = self._beating()
        with self._lock:
            address = self._addresses.get(owner)
            if gone_at_s is not None and owner in beating:
                # No dead process has a heartbeat so long after: its address leads elsewhere from
                # here, or is closed to us. Of this one only its heartbeat is believed.
                del self._gone[owner]
                _remember(self._misled, owner, None)
            misled = owner in self._misled
        if gone_at_s is not None and not misled:
            return True
        gone = bool(address) and not misled and self._is_gone_from(str(address), owner)
        with self._lock:
            if gone:
                _remember(self._gone, owner, self._clock.monotonic_s())
                return True
        if owner not in beating and self.may_judge():
            # Not remembered: a frozen pod may wake up. And asked only now: the read may itself
            # have waited for a store that was away.
            return True
        with self._lock:
            _remember(self._asked_at_s, owner, self._clock.monotonic_s())
        return False

    def _beating(self) -> frozenset[str]:
        """Return who has a heartbeat, and learn where they are."""
        pods = self._presence.pods()
        with self._lock:
            for pod in pods:
                _remember(self._addresses, str(pod["incarnation"]), str(pod.get("address", "")))
        return frozenset(str(pod["incarnation"]) for pod in pods)

    def _is_gone_from(self, address: str, owner: str) -> bool:
        try:
            return self._peers.incarnation_at(address) != owner
        except PeerRefused:
            return True
        except PeerSilent:
            return False


def _remember(table: OrderedDict[str, V], key: str, value: V) -> None:
    table[key] = value
    table.move_to_end(key)
    while len(table) > _REMEMBERED_MAX:
        table.popitem(last=False)
