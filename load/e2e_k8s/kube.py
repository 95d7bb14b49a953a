"""``kubectl`` and ``helm`` as functions: what they say, or ``StepFailed`` with their own words."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_CALL_S = 120.0
_POLL_S = 0.2
_WORDS_MAX = 4000


class StepFailed(Exception):
    """Something did not come about; the message is for whoever runs this."""

    def __init__(self, message: str, figures: Mapping[str, Any] | None = None) -> None:
        """``figures``: what was measured all the same."""
        super().__init__(message)
        self.figures = dict(figures or {})


class NoCluster(StepFailed):
    """There is nothing to run this on."""


@dataclass(frozen=True, slots=True)
class Kube:
    """One namespace of the cluster that ``kubectl`` stands at."""

    namespace: str

    def kubectl(self, *arguments: str, put: str | None = None, timeout_s: float = _CALL_S) -> str:
        """Return what it printed; ``put``: its standard input."""
        return _run(["kubectl", "-n", self.namespace, *arguments], put=put, timeout_s=timeout_s)

    def helm(self, *arguments: str, timeout_s: float) -> str:
        """Return what it printed."""
        return _run(["helm", "-n", self.namespace, *arguments], timeout_s=timeout_s)

    def get(self, *arguments: str) -> Any:
        """Return objects as JSON."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Make objects what these say."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-f", "-", put=json.dumps(listed))

    def popen(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start ``kubectl`` with pipes; the caller ends it."""
        return subprocess.Popen(
            ["kubectl", "-n", self.namespace, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """Return the pods of a selector, in the order of their names."""
        found: list[dict[str, Any]] = self.get("pods", "-l", selector)["items"]
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def _run(command: list[str], *, put: str | None = None, timeout_s: float) -> str:
    try:
        done = subprocess.run(
            command, input=put, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise StepFailed(f"{' '.join(command)} took over {timeout_s:.0f} s") from error
    if done.returncode != 0:
        words = (done.stderr + done.stdout)[-_WORDS_MAX:].strip()
        raise StepFailed(f"{' '.join(command)} ended with {done.returncode}: {words}")
    return done.stdout


def check_cluster() -> dict[str, str]:
    """Return versions and nodes of the cluster; ``NoCluster`` where none answers."""
    for program in ("kubectl", "helm"):
        if shutil.which(program) is None:
            raise NoCluster(f"{program} is not in the search path; install it and try again.")
    try:
        version = json.loads(_run(["kubectl", "version", "-o", "json"], timeout_s=_CALL_S))
        nodes = json.loads(_run(["kubectl", "get", "nodes", "-o", "json"], timeout_s=_CALL_S))
        server = version["serverVersion"]["gitVersion"]
    except (StepFailed, KeyError) as error:
        raise NoCluster(
            "No Kubernetes cluster answers. Set KUBECONFIG, or choose one with `kubectl config"
            f" use-context`; any cluster of Kubernetes 1.29 or newer will do.\n{error}"
        ) from error
    helm = _run(["helm", "version", "--short"], timeout_s=_CALL_S).strip()
    return {"kubernetes": server, "helm": helm, "nodes": str(len(nodes["items"]))}


def ready(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod serves and is not about to leave."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def wait_until(condition: Callable[[], bool], *, what: str, timeout_s: float = 120.0) -> float:
    """Return after how many seconds ``condition()`` held; ``StepFailed`` when it never did."""
    began_s = time.monotonic()
    while not condition():
        if time.monotonic() - began_s > timeout_s:
            raise StepFailed(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(_POLL_S)
    return time.monotonic() - began_s
