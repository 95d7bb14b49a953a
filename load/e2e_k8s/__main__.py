"""Runs the chart on the cluster of ``kubectl``; writes load/results/e2e-k8s.json and .md.

    python -m load.e2e_k8s [--image-tag 0.1.0] [--previous-tag 0.1.0-before] [--only STEP,…]

Ends with 0 only where every step showed what it should. Without a cluster it ends with 2.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from load import surroundings
from load.e2e_k8s import installing, killing, releases, scaling
from load.e2e_k8s.kube import NoCluster, StepFailed, check_cluster
from load.e2e_k8s.report import report
from load.e2e_k8s.scene import Scene, Wishes, scene
from load.kept import keep

_RESULTS: Final = Path(__file__).resolve().parents[1] / "results" / "e2e-k8s"
_NO_CLUSTER: Final = 2
STEPS: Final[Mapping[str, Callable[[Scene], dict[str, Any]]]] = {
    "install": installing.install,
    "helm-test": installing.helm_test,
    "conversation": installing.converse,
    "upload": installing.upload,
    "delete-pod": killing.delete_pod,
    "kill-inside": killing.kill_inside,
    "kill-from-node": killing.kill_from_node,
    "scale": scaling.scale,
    "upgrade": releases.upgrade,
}
# All others need it.
_ALWAYS: Final = "install"


def main() -> int:
    """Run as asked."""
    asked = _parser().parse_args()
    chosen = asked.only.split(",") if asked.only else list(STEPS)
    unknown = sorted(set(chosen) - set(STEPS))
    if unknown:
        sys.stderr.write(f"There is no step {', '.join(unknown)}; there are {', '.join(STEPS)}.\n")
        return 1
    try:
        cluster = check_cluster()
    except NoCluster as error:
        sys.stderr.write(f"{error}\n")
        return _NO_CLUSTER
    wishes = Wishes(
        image=asked.image,
        tag=asked.image_tag,
        previous_tag=asked.previous_tag,
        values=asked.values,
        settings=asked.set,
        storage_class=asked.storage_class,
        clients=asked.clients,
    )
    found: dict[str, Any] = {
        "commit": surroundings.commit(required=False),
        "machine": surroundings.machine(),
        "cluster": cluster,
        "image": f"{asked.image}:{asked.image_tag}",
        "clients": asked.clients,
        "steps": {},
    }
    place = {"namespace": asked.namespace, "keep": asked.keep, "reuse": asked.reuse}
    for name, done in _run(wishes, chosen, **place):
        found["steps"][name] = done
        # Whoever interrupts the run has what was shown until then.
        keep(asked.out, found, report(found))
    sys.stdout.write(report(found))
    return 1 if any("failed" in step for step in found["steps"].values()) else 0


def _run(
    wishes: Wishes, chosen: Sequence[str], *, namespace: str, keep: bool, reuse: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Do the steps in their order and yield what each showed; one that fails ends no other."""
    first = set() if reuse else {_ALWAYS}
    names = [name for name in STEPS if name in {*chosen, *first}]
    try:
        with scene(wishes, namespace=namespace, keep=keep, reuse=reuse) as here:
            for name in names:
                done = _step(name, here)
                yield name, done
                if name == _ALWAYS and "failed" in done:
                    break
    except StepFailed as error:
        yield "surroundings", {"failed": str(error)}


def _step(name: str, here: Scene) -> dict[str, Any]:
    _tell(f"{name} …")
    began_s = time.monotonic()
    try:
        done = STEPS[name](here)
    except StepFailed as error:
        done = {"failed": str(error), **error.figures}
    done["step_s"] = round(time.monotonic() - began_s, 1)
    shown = done.get("failed") or ", ".join(
        f"{key} {value}" for key, value in done.items() if isinstance(value, int | float)
    )
    _tell(f"{'FAILED ' if 'failed' in done else ''}{name}: {shown}")
    return done


def _tell(line: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {line}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", default="kotaemon-cluster")
    parser.add_argument("--image-tag", default="0.1.0")
    parser.add_argument("--previous-tag", default="", help="build to upgrade from")
    parser.add_argument("--namespace", default="kotaemon-e2e", help="is deleted before and after")
    parser.add_argument("--values", type=Path, action="append", default=[], help="as of helm")
    parser.add_argument("--set", action="append", default=[], help="as of helm")
    parser.add_argument("--storage-class", default="", help="else the default, or node folders")
    parser.add_argument("--clients", type=int, default=32, help="that talk under load")
    parser.add_argument("--only", default="", help=f"of {', '.join(STEPS)}; joined by commas")
    parser.add_argument("--keep", action="store_true", help="leave everything as it is at the end")
    parser.add_argument("--reuse", action="store_true", help="take what --keep has left")
    parser.add_argument("--out", type=Path, default=_RESULTS, help="this, .json and .md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
