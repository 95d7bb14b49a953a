"""Steps that bring the release up: install, helm's own test, a conversation, a document."""

import time
from typing import Any, Final

from load.e2e_k8s.kube import StepFailed
from load.e2e_k8s.scene import RELEASE, Scene, start_clients, start_model

_INSTALL_S: Final = 600.0
_TEST_S: Final = 320.0
QUESTION: Final = "How long does standard delivery to Singapore take?"


def install(here: Scene) -> dict[str, Any]:
    """Install the chart with Redis and Kafka of its own and wait until all is ready."""
    start_model(here)
    began_s = time.monotonic()
    here.kube.helm(
        "install", RELEASE, *here.helm_arguments(tag=here.wishes.tag),
        "--wait", f"--timeout={_INSTALL_S:.0f}s", timeout_s=_INSTALL_S + 10,
    )  # fmt: skip
    ready_s = time.monotonic() - began_s
    start_clients(here)
    pods = here.kube.pods(f"app.kubernetes.io/instance={RELEASE}")
    return {
        "ready_s": round(ready_s, 1),
        "pods": [pod["metadata"]["name"] for pod in pods],
        "restarts": sum(
            status["restartCount"]
            for pod in pods
            for status in pod["status"].get("containerStatuses", [])
        ),
    }


def helm_test(here: Scene) -> dict[str, Any]:
    """Run the chart's own test."""
    began_s = time.monotonic()
    told = here.kube.helm("test", RELEASE, "--logs", timeout_s=_TEST_S)
    return {"seconds": round(time.monotonic() - began_s, 1), "told": told.strip().splitlines()[-1]}


def converse(here: Scene) -> dict[str, Any]:
    """Ask through the service, once, undisturbed."""
    found = here.ask_inside("turn.py", QUESTION)
    if found["state"] != "done" or found["problems"] or found["degraded"]:
        raise StepFailed(f"the answer was not as it should be: {found}")
    return found


def upload(here: Scene) -> dict[str, Any]:
    """Upload a document and wait until all pods serve it."""
    found = here.ask_inside("upload.py", f"wumpel{time.time_ns() // 10**9}")
    workers = here.workers_ready()
    if len(found["pods"]) != workers or not found["found"]:
        raise StepFailed(f"there are {workers} workers, and the document was served so: {found}")
    return found
