"""When a pod that is behind stands aside, so that the balancer asks those with newer knowledge.

Ready means able to serve, not newest: a pod that is behind goes on. But one that others left behind
for half a minute does not come after them by itself soon, and its users read what is outdated.

Law 1: half of the living pods, rounded up, stay in service, whatever each of them is behind.
Law 2: pods that see the same table agree on who stands aside, so no two of them are the last.
Law 3: nobody stands aside for a generation that no pod in service serves.
Law 4: without a table, or caught up, a pod is back at once: old knowledge is better than no pod.
"""

from collections.abc import Mapping, Sequence

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.ports.knowledge import PodReport
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

Generations = Mapping[str, int]
"""Knowledge base to generation."""


class Aside:
    """Decides for one pod; ``look`` runs beside its heartbeats, ``reason`` at any time."""

    def __init__(self, *, mine: str, clock: Clock) -> None:
        """``mine`` is the incarnation under which this pod is in the table of those that live."""
        self._mine = mine
        self._clock = clock
        self._behind_since_s: float | None = None
        self._newer: Generations = {}
        """What this pod stands aside for; empty while it is in service."""
        self._missed: Generations = {}
        """What it lacked when it looked."""

    def look(self, pods: Sequence[PodReport]) -> None:
        """Decide by the table, which was just read."""
        now_s = self._clock.monotonic_s()
        self._missed = missed = missing(pods).get(self._mine, {})
        if not missed:
            self._behind_since_s = None
        elif self._behind_since_s is None:
            self._behind_since_s = now_s
        since_s = self._behind_since_s
        due = since_s is not None and now_s - since_s >= limits.BEHIND_LEAVES_S
        newer = missed if due and self._mine in may_stand_aside(pods) else {}
        if bool(newer) != bool(self._newer):
            _log.warning("stands_aside" if newer else "stands_in", newer=dict(newer))
        self._newer = newer

    def forget(self) -> None:
        """Stand in: the table cannot be read, and others may be gone meanwhile."""
        self._behind_since_s = None
        self._newer = self._missed = {}

    def behind(self, served: Mapping[str, GenerationRef]) -> Generations:
        """Return the newer generations that others serve, by knowledge base."""
        return _beyond(self._missed, served)

    def reason(self, served: Mapping[str, GenerationRef]) -> str:
        """Return why this pod, which serves ``served``, takes no work; "" where it takes it."""
        lacks = [
            f"generation {generation} of {kb}"
            for kb, generation in sorted(_beyond(self._newer, served).items())
        ]
        if not lacks:
            return ""
        return f"others have served {', '.join(lacks)} for {limits.BEHIND_LEAVES_S:.0f} s"


def may_stand_aside(pods: Sequence[PodReport]) -> frozenset[str]:
    """Return the incarnations that could leave together with half of the pods staying.

    Those that stand aside already come first: a pod that falls behind later takes nobody's place.
    """
    behind = missing(pods)
    able = [pod for pod in pods if _able(pod)]
    staying = (len(pods) + 1) // 2
    leavers = sorted(
        (pod for pod in able if _incarnation(pod) in behind),
        key=lambda pod: (bool(pod.get("ready")), str(pod.get("name", "")), _incarnation(pod)),
    )
    return frozenset(_incarnation(pod) for pod in leavers[: max(0, len(able) - staying)])


def missing(pods: Sequence[PodReport]) -> Mapping[str, Generations]:
    """Return of each pod that is behind the newer generations that able pods serve."""
    newest: dict[str, int] = {}
    for pod in pods:
        if _able(pod):
            for kb, generation in _generations(pod).items():
                newest[kb] = max(generation, newest.get(kb, 0))
    found: dict[str, Generations] = {}
    for pod in pods:
        served = _generations(pod)
        lacks = {kb: newer for kb, newer in newest.items() if served.get(kb, 0) < newer}
        if lacks:
            found[_incarnation(pod)] = lacks
    return found


def _beyond(newer: Generations, served: Mapping[str, GenerationRef]) -> Generations:
    return {
        kb: generation
        for kb, generation in newer.items()
        if kb not in served or served[kb].generation < generation
    }


def _able(pod: PodReport) -> bool:
    """Tell whether nothing but being behind keeps it from serving; older pods only say ready."""
    return bool(pod.get("able", pod.get("ready")))


def _incarnation(pod: PodReport) -> str:
    return str(pod.get("incarnation", ""))


def _generations(pod: PodReport) -> Generations:
    told = pod.get("generations")
    rows = told if isinstance(told, Mapping) else {}
    return {
        str(kb): int(row["generation"])
        for kb, row in rows.items()
        if isinstance(row, Mapping) and isinstance(row.get("generation"), int)
    }
