"""Steps that end the worker which runs a turn, in the middle of its answer."""

import time
from collections.abc import Callable
from typing import Any, Final

from load.e2e_k8s.installing import QUESTION
from load.e2e_k8s.kube import Kube, StepFailed, wait_until
from load.e2e_k8s.scene import RELEASE, Scene

_TIMES: Final = 3
_AFTER_TEXTS: Final = 20
# Kubernetes waits longer before each restart of the same container.
_READY_S: Final = 400.0

# Every process whose control group names the container; ours sees all of the node's.
_KILL_CONTAINER: Final = """
import glob, os, signal, sys
for path in glob.glob("/proc/[0-9]*/cgroup"):
    try:
        if sys.argv[1] in open(path).read():
            os.kill(int(path.split("/")[2]), signal.SIGKILL)
            print(path)
    except OSError:
        pass
"""
# The serving process is the child of the container's first one, which ends with it.
_KILL_CHILD: Final = "kill -9 $(cat /proc/1/task/1/children)"


def delete_pod(here: Scene) -> dict[str, Any]:
    """``kubectl delete pod --grace-period=0 --force``."""

    def strike(pod: str) -> None:
        here.kube.kubectl("delete", "pod", pod, "--grace-period=0", "--force")

    return _mid_answer(here, strike)


def kill_inside(here: Scene) -> dict[str, Any]:
    """``kill -9`` of the serving process, from inside the container."""

    def strike(pod: str) -> None:
        here.kube.kubectl("exec", pod, "-c", "worker", "--", "sh", "-c", _KILL_CHILD)

    return _mid_answer(here, strike)


def kill_from_node(here: Scene) -> dict[str, Any]:
    """SIGKILL to every process of the container at once, from the node."""
    container: dict[str, str] = {}

    def strike(pod: str) -> None:
        shown = _kill(here.node, container[pod])
        if not shown.strip():
            raise StepFailed(f"no process of {pod} was found on the node")

    def look(pod: str) -> None:
        statuses = here.kube.get("pod", pod)["status"]["containerStatuses"]
        container[pod] = statuses[0]["containerID"].rpartition("/")[2]

    return _mid_answer(here, strike, before=look)


def _kill(node: Kube, container_id: str) -> str:
    return node.kubectl("exec", "e2e-node", "--", "python3", "-c", _KILL_CONTAINER, container_id)


def _mid_answer(
    here: Scene, strike: Callable[[str], None], *, before: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """End the pod of a running turn a few times; the answer must be that of an undisturbed one."""
    expected = here.ask_inside("turn.py", QUESTION)["text"]
    rounds = [_one(here, strike, before=before, expected=expected) for _ in range(_TIMES)]
    return {
        "times": _TIMES,
        "longest_gap_ms": max(one["longest_gap_ms"] for one in rounds),
        "ready_again_s": max(one["ready_again_s"] for one in rounds),
        "texts_equal": True,
        "rounds": rounds,
    }


def _one(
    here: Scene,
    strike: Callable[[str], None],
    *,
    before: Callable[[str], None],
    expected: str,
) -> dict[str, Any]:
    wait_until(lambda: here.workers_ready() >= 2, what="two ready workers", timeout_s=_READY_S)
    workers = here.workers_ready()
    for worker in here.workers():
        before(worker["metadata"]["name"])
    turn = here.start_inside("turn.py", QUESTION, f"--after={_AFTER_TEXTS}")
    try:
        amid = turn.next("amid")
        # The balancer's name of it: worker-<number>.
        pod = f"{RELEASE}-{amid['served_by']}"
        began_s = time.monotonic()
        strike(pod)
        struck_s = time.monotonic() - began_s
        found = turn.next("end")
    finally:
        turn.end()
    wait_until(lambda: here.workers_ready() >= workers, what=f"{pod} is back", timeout_s=_READY_S)
    _check(found, expected=expected)
    return {
        "pod": pod,
        "strike_took_ms": round(struck_s * 1000),
        "first_text_ms": found["first_text_ms"],
        "usual_gap_ms": found["usual_gap_ms"],
        "longest_gap_ms": found["longest_gap_ms"],
        "taken_over": found["taken_over"],
        "restarts_of_text": found["restarts"],
        "tries": found["tries"],
        "ready_again_s": round(time.monotonic() - began_s, 1),
    }


def _check(found: dict[str, Any], *, expected: str) -> None:
    if found["state"] != "done" or found["problems"]:
        raise StepFailed(f"the answer did not come to its end: {found}")
    if found["text"] != expected:
        raise StepFailed(f"the answer differs: {found['text']!r} instead of {expected!r}")
    if not found["taken_over"]:
        raise StepFailed(f"nobody had to take the turn over, so the kill met nothing: {found}")
