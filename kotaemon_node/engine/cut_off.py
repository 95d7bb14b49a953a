"""Is it this pod alone that has lost the session store? Then others should get its work.

A store that is away for everybody makes no pod unready: all of them would leave at once. So a pod
whose heartbeats fail asks others over HTTP whether theirs get through. A pod says so of its last
seconds only, and is asked later than that: of a store that was lost by all at the same moment
nobody says any more that it answers.
"""

from collections.abc import Sequence
from typing import Final

from kotaemon_node.domain import limits
from kotaemon_node.ports.knowledge import PodReport
from kotaemon_node.ports.peers import PeerRefused, Peers, PeerSilent
from kotaemon_node.ports.runtime import Clock

_FRESH_S: Final = limits.POD_TTL_S
_ASK_AFTER_S: Final = 2 * _FRESH_S
_ASKED_MAX: Final = 3


class CutOff:
    """Judges for one pod."""

    def __init__(self, *, mine: str, peers: Peers, clock: Clock) -> None:
        """``mine``: the incarnation of this pod."""
        self._mine = mine
        self._peers = peers
        self._clock = clock
        self._answered_at_s: float | None = None
        self._others: Sequence[str] = ()
        self._alone = False

    @property
    def store_answers(self) -> bool:
        """Whether a heartbeat of the last seconds got through."""
        at_s = self._answered_at_s
        return at_s is not None and self._clock.monotonic_s() - at_s < _FRESH_S

    @property
    def reason(self) -> str:
        """Why this pod takes no work; "" where it takes it."""
        return "the session store answers other pods, not this one" if self._alone else ""

    def learn(self, pods: Sequence[PodReport]) -> None:
        """Remember where others are, for the time when the store can't tell."""
        others = (pod for pod in pods if pod.get("incarnation") != self._mine)
        self._others = [str(pod["address"]) for pod in others if pod.get("address")]

    def answered(self) -> None:
        """Note that a heartbeat got through."""
        self._answered_at_s = self._clock.monotonic_s()
        self._alone = False

    def silent(self) -> None:
        """Note that one did not, and ask others; may take a second."""
        at_s = self._answered_at_s
        if at_s is None or self._clock.monotonic_s() - at_s < _ASK_AFTER_S:
            return
        self._alone = any(self._answers(address) for address in self._others[:_ASKED_MAX])

    def _answers(self, address: str) -> bool:
        try:
            return self._peers.store_answers_at(address)
        except (PeerRefused, PeerSilent):
            return False
