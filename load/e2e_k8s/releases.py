"""``helm upgrade`` from the build before, and ``helm rollback``, while clients talk."""

import time
from typing import Any, Final

from load.e2e_k8s.kube import StepFailed
from load.e2e_k8s.scene import RELEASE, Scene
from load.e2e_k8s.talking import check_clean, talking

_ROLL_S: Final = 900.0
_SEED: Final = 11


def upgrade(here: Scene) -> dict[str, Any]:
    """Go from the build before to this one and back, every pod of ours one after the other."""
    previous = here.wishes.previous_tag
    if not previous:
        raise StepFailed("there is no build to upgrade from; name one with --previous-tag")
    quiet_s = _to(here, previous)
    found: dict[str, Any] = {}
    with talking(here, seed=_SEED, found=found):
        upgrade_s = _to(here, here.wishes.tag)
        began_s = time.monotonic()
        here.kube.helm(
            "rollback", RELEASE, "--wait", f"--timeout={_ROLL_S:.0f}s", timeout_s=_ROLL_S + 10
        )
        _check_images(here, previous)
        rollback_s = time.monotonic() - began_s
    check_clean(found, when="while every pod was replaced, twice")
    return {
        "from": previous,
        "to": here.wishes.tag,
        "upgrade_s": round(upgrade_s, 1),
        "rollback_s": round(rollback_s, 1),
        "quiet_upgrade_s": round(quiet_s, 1),
        "under_load": found,
    }


def _to(here: Scene, tag: str) -> float:
    began_s = time.monotonic()
    here.kube.helm(
        "upgrade", RELEASE, *here.helm_arguments(tag=tag),
        "--wait", f"--timeout={_ROLL_S:.0f}s", timeout_s=_ROLL_S + 10,
    )  # fmt: skip
    _check_images(here, tag)
    return time.monotonic() - began_s


def _check_images(here: Scene, tag: str) -> None:
    """Make sure that every worker runs this build: waiting alone would not show it."""
    for pod in here.workers():
        image = pod["spec"]["containers"][0]["image"]
        if not image.endswith(f":{tag}"):
            raise StepFailed(f"{pod['metadata']['name']} runs {image}, not {tag}")
