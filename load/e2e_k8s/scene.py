"""What a run has: the release, its namespace, clients inside, and what must go away afterwards."""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from load.e2e_k8s import objects
from load.e2e_k8s.kube import Kube, StepFailed, ready, wait_until

RELEASE: Final = "kotaemon"
CHART: Final = Path(__file__).resolve().parents[2] / "helm" / "kotaemon"
VALUES: Final = Path(__file__).resolve().parent / "values.yaml"
_VOLUMES: Final = 3  # Redis, Kafka, the coordinators
_VOLUME_GB: Final = 100
_READY_S: Final = 180.0
_GONE_S: Final = 180.0
_ANSWER_S: Final = 240.0
_NODE_FOLDER: Final = "/var/tmp/kotaemon-e2e"
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the run was asked for."""

    image: str
    tag: str
    previous_tag: str
    """Of the build before; empty: there is none to upgrade from."""
    values: Sequence[Path]
    settings: Sequence[str]
    """Further ``--set`` of helm."""
    storage_class: str
    clients: int


@dataclass(slots=True)
class Scene:
    """The release on the cluster, for the steps."""

    kube: Kube
    wishes: Wishes
    node: Kube
    """The namespace of the pod that acts on the node."""
    figures: dict[str, Any] = field(default_factory=dict)
    """Step to what it measured, as far as they are."""

    @property
    def image(self) -> str:
        """Name and tag of the image under test."""
        return f"{self.wishes.image}:{self.wishes.tag}"

    @property
    def url(self) -> str:
        """The release's service, as pods of its namespace call it."""
        return f"http://{RELEASE}"

    def helm_arguments(self, *, tag: str) -> list[str]:
        """Return chart and values of an install or an upgrade to this tag."""
        found = [str(CHART), "--values", str(VALUES)]
        for path in self.wishes.values:
            found += ["--values", str(path)]
        found += ["--set", f"image.repository={self.wishes.image}", "--set", f"image.tag={tag}"]
        if self.wishes.storage_class:
            found += ["--set", f"global.storageClass={self.wishes.storage_class}"]
        for setting in self.wishes.settings:
            found += ["--set", setting]
        return found

    def workers(self) -> list[dict[str, Any]]:
        """Return the worker pods."""
        return self.kube.pods(f"app.kubernetes.io/instance={RELEASE},{_COMPONENT}=worker")

    def workers_ready(self) -> int:
        """Return how many of them are ready."""
        return sum(ready(pod) for pod in self.workers())

    def wait_workers(self, number: int, *, timeout_s: float = _READY_S) -> float:
        """Return after how many seconds exactly so many workers were there and ready."""

        def so_many() -> bool:
            pods = self.workers()
            return len(pods) == number and all(ready(pod) for pod in pods)

        return wait_until(so_many, what=f"{number} ready workers", timeout_s=timeout_s)

    def ask_inside(self, script: str, *arguments: str) -> dict[str, Any]:
        """Run a script of ``inside`` to its end and return the last line that it wrote."""
        shown = self.kube.kubectl(
            "exec", "e2e-client", "--", "python", f"/e2e/{script}", self.url, *arguments,
            timeout_s=_ANSWER_S,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(shown.strip().splitlines()[-1])
        return found

    def start_inside(self, script: str, *arguments: str) -> "Inside":
        """Start a script of ``inside``."""
        return Inside(
            self.kube.popen(
                "exec", "-i", "e2e-client", "--", "python", f"/e2e/{script}", self.url, *arguments
            )
        )


_COMPONENT: Final = "app.kubernetes.io/component"


class Inside:
    """A script that runs in the client's pod and writes lines of JSON."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def next(self, event: str) -> dict[str, Any]:
        """Return the next line of this kind; ``StepFailed`` where the script ends before."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found: dict[str, Any] = json.loads(line)
            if found["event"] == event:
                return found
        raise StepFailed(f"the client ended with {self._process.wait()} before {event!r}")

    def stop(self) -> dict[str, Any]:
        """Let it come to its end; return its last line."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.next("end")

    def end(self) -> None:
        """Kill what is left of it on this side."""
        self._process.kill()
        self._process.wait()


@contextmanager
def scene(wishes: Wishes, *, namespace: str, keep: bool, reuse: bool) -> Iterator[Scene]:
    """Make the namespaces and, where there is no storage, volumes; remove them at the end.

    ``keep``: leave them. ``reuse``: take those that a run before has left.
    """
    here = Scene(Kube(namespace), wishes, Kube(f"{namespace}-node"))
    if reuse:
        gone = ("delete", "pod", "e2e-client", "--ignore-not-found", "--grace-period=0", "--force")
        here.kube.kubectl(*gone, timeout_s=_GONE_S)
        start_clients(here)
        yield here
        return
    remove(here)
    here.kube.apply([objects.namespace(namespace, enforce="restricted")])
    here.kube.apply([objects.namespace(f"{namespace}-node", enforce="privileged")])
    try:
        here.node.apply([objects.node_pod(image=here.image, folder=_NODE_FOLDER)])
        wait_pod(here.node, "e2e-node")
        if not wishes.storage_class and not _default_class(here.kube):
            _make_volumes(here)
        yield here
    finally:
        if not keep:
            remove(here)


def wait_pod(kube: Kube, name: str) -> None:
    """Wait until a pod is ready."""
    kube.kubectl(
        "wait", f"pod/{name}", "--for=condition=Ready", f"--timeout={_READY_S:.0f}s",
        timeout_s=_READY_S + 10,
    )  # fmt: skip


def start_clients(here: Scene) -> None:
    """Start the pods that talk; the release's secret must be there."""
    here.kube.apply(objects.client(image=here.image, secret=f"{RELEASE}-secrets"))
    wait_pod(here.kube, "e2e-client")


def start_model(here: Scene) -> None:
    """Start the language model of the run."""
    here.kube.apply(objects.model(image=here.image))
    wait_pod(here.kube, "e2e-model")


def _default_class(kube: Kube) -> bool:
    classes = kube.get("storageclass")["items"]
    return any(
        one["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true" for one in classes
    )


def _make_volumes(here: Scene) -> None:
    node = here.node.get("pod", "e2e-node")["spec"]["nodeName"]
    label = here.node.get("node", node)["metadata"]["labels"]["kubernetes.io/hostname"]
    names = [f"{here.kube.namespace}-{time.time_ns() // 10**6}-{n}" for n in range(_VOLUMES)]
    folders = " ".join(f"/volumes/{name}" for name in names)
    # Kubernetes gives such a folder to no group: every user of the pods must be able to write.
    here.node.kubectl("exec", "e2e-node", "--", "sh", "-c", f"mkdir -m 0777 {folders}")
    here.kube.apply(
        [
            objects.volume(name, path=f"{_NODE_FOLDER}/{name}", node=label, gigabytes=_VOLUME_GB)
            for name in names
        ]
    )


def remove(here: Scene) -> None:
    """Remove what an earlier run or this one left."""
    names = (here.kube.namespace, here.node.namespace)
    there = [name for name in names if _exists(here, name)]
    if here.kube.namespace in there:
        gone = ("delete", "namespace", here.kube.namespace, "--ignore-not-found")
        here.kube.kubectl(*gone, f"--timeout={_GONE_S:.0f}s", timeout_s=_GONE_S + 10)
    here.kube.kubectl("delete", "persistentvolume", "-l", "app=kotaemon-e2e", timeout_s=_GONE_S)
    if here.node.namespace in there:
        _empty_folder(here)
        gone = ("delete", "namespace", here.node.namespace, "--ignore-not-found")
        here.kube.kubectl(*gone, f"--timeout={_GONE_S:.0f}s", timeout_s=_GONE_S + 10)


def _empty_folder(here: Scene) -> None:
    try:
        here.node.kubectl("exec", "e2e-node", "--", "sh", "-c", "rm -rf /volumes/*")
    except StepFailed:
        return  # its pod never ran: then there is nothing in the folder, either


def _exists(here: Scene, namespace: str) -> bool:
    found = here.kube.kubectl("get", "namespace", namespace, "--ignore-not-found", "-o", "name")
    return bool(found.strip())
