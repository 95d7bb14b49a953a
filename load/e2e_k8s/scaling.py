"""The autoscaler: more workers under load, fewer without, and no client notices."""

import time
from typing import Any, Final

from load.e2e_k8s.kube import StepFailed, wait_until
from load.e2e_k8s.scene import RELEASE, Scene
from load.e2e_k8s.talking import check_clean, talking

_UP_S: Final = 300.0
_DOWN_S: Final = 600.0
_SEED: Final = 7


def scale(here: Scene) -> dict[str, Any]:
    """Let load bring the fewest workers to the most, and its end back again."""
    limits = here.kube.get("hpa", f"{RELEASE}-worker")["spec"]
    least, most = limits["minReplicas"], limits["maxReplicas"]
    # Steps before this one may have brought more.
    here.wait_workers(least, timeout_s=_DOWN_S)
    found: dict[str, Any] = {}
    began_s = time.monotonic()
    with talking(here, seed=_SEED, found=found):
        up_s = here.wait_workers(most, timeout_s=_UP_S)
        served = _balanced(here, most)
    quiet_s = time.monotonic()
    # Some still talk when pods begin to leave: that is what no client may notice.
    down: dict[str, Any] = {}
    with talking(here, seed=_SEED + 1, found=down, clients=1):
        wait_until(
            lambda: here.workers_ready() == least, what=f"{least} workers again", timeout_s=_DOWN_S
        )
    down_s = time.monotonic() - quiet_s
    check_clean(found, when="on the way up")
    check_clean(down, when="on the way down")
    return {
        "workers": [least, most, least],
        "up_s": round(up_s, 1),
        "all_served_s": round(served, 1),
        "down_s": round(down_s, 1),
        "seconds": round(time.monotonic() - began_s, 1),
        "under_load": found,
        "on_the_way_down": down,
    }


def _balanced(here: Scene, workers: int) -> float:
    """Wait until answers came from every worker; ``StepFailed`` where one is left out."""
    names: set[str] = set()

    def all_of_them() -> bool:
        found = here.ask_inside("who.py", "40")
        names.update(found["served_by"])
        return len(names) >= workers

    try:
        return wait_until(all_of_them, what=f"{workers} workers answer", timeout_s=60.0)
    except StepFailed as error:
        raise StepFailed(f"{error}; only {sorted(names)} did") from error
