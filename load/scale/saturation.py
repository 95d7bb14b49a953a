"""How many pods a part carries: where its load reaches what it may have."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from load.scale.demand import Site

CORE: Final = 0.7
"""Of one core: a queue in front of a server that is busier than that grows quickly."""
PODS_MAX: Final = 100_000

Load = Callable[[Site], float]


def carried(site: Site, load: Load, *, turns_per_pod: float, most: float = CORE) -> int | None:
    """Return the greatest number of pods whose ``load`` is at most ``most``; None: beyond all.

    All else of ``site`` stays; each pod answers ``turns_per_pod`` a second.
    """

    def fits(pods: int) -> bool:
        return load(replace(site, pods=pods, turns_per_s=pods * turns_per_pod)) <= most

    if fits(PODS_MAX):
        return None
    low, high = 0, PODS_MAX
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
