"""The cluster, its language model, its tools and the documents that change, for one run."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
import requests
import yaml

from kotaemon_node.local import launch
from load.bench.takeover_store import StoreView
from load.chaos.model import PACE, ROOT, Model
from tests.cluster import Cluster
from tests.fakes.tool_server import ToolServer

WORKERS = 3
PUBLISH_S = 5.0
TOOL_S = 0.5
"""A tool has acted so long before it says so: some kills fall in between."""
ALWAYS = 1_000_000_000
KNOWN_WITHIN_S = 40.0
"""Knowledge is 30 s late at most where events are lost."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What faults are done to."""

    cluster: Cluster
    model: Model
    tools: ToolServer
    store: StoreView
    redis: redis.Redis
    publisher: "Publisher"

    def workers(self) -> list[str]:
        """Return the names of the workers."""
        return [row["name"] for row in self.cluster.ps() if row["role"] == "worker"]

    def metric(self, name: str) -> float:
        """Return the sum over the workers that answer; what was before their start is lost."""
        total = 0.0
        for port in self.cluster.worker_ports():
            try:
                shown = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
            except requests.RequestException:
                continue
            lines = (line for line in shown.splitlines() if line.startswith(f"{name} "))
            total += sum(float(line.split()[1]) for line in lines)
        return total


@contextmanager
def scene(folder: Path, *, pace: Mapping[str, float] = PACE) -> Iterator[Scene]:
    """Start everything in ``folder`` and stop it at the end; ``pace``: of the language model."""
    knowledge = folder / "knowledge"
    shutil.copytree(ROOT / "sample" / "knowledge", knowledge)
    with ExitStack() as stack:
        model = stack.enter_context(Model(pace))
        tools = stack.enter_context(ToolServer())
        tools.doings.delay_s, tools.doings.times = TOOL_S, ALWAYS
        tools_file = folder / "tools.yaml"
        described = tools.described(once_act="once", idempotent_act="idempotent")
        tools_file.write_text(yaml.safe_dump(described), "utf-8")
        environment = {
            "LLM_BASE_URL": model.base_url,
            "LLM_CONTINUE": "vllm",
            "TOOLS_FILE": str(tools_file),
        }
        publisher = Publisher(knowledge)
        publisher.publish()
        cluster = stack.enter_context(
            Cluster(folder / "data", workers=WORKERS, knowledge=knowledge, environment=environment)
        )
        port = launch.running_cluster(cluster.folder).redis_port
        store = stack.enter_context(StoreView(port))
        client = stack.enter_context(redis.Redis(port=port, socket_timeout=5))
        stack.enter_context(publisher)
        yield Scene(cluster, model, tools, store, client, publisher)


class Publisher:
    """Changes a document every few seconds."""

    def __init__(self, knowledge: Path) -> None:
        self._file = knowledge / "lamp.md"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.revisions = 0

    def __enter__(self) -> "Publisher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Publish no more."""
        self._stopped.set()
        self._thread.join()

    @property
    def price(self) -> str:
        """What the newest revision says."""
        return f"{1000 + self.revisions} dollars"

    def publish(self) -> None:
        """Write the next revision."""
        self.revisions += 1
        text = f"# Meteor lamp\n\nThe Meteor lamp costs {self.price} today.\n"
        self._file.write_text(text, "utf-8")

    def _run(self) -> None:
        while not self._stopped.wait(PUBLISH_S):
            self.publish()


def until_known(scene: Scene, *, waited: Callable[[], bool] = lambda: False) -> float | None:
    """Return after how many seconds every pod answers from the newest revision; None: too late."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < KNOWN_WITHIN_S and not waited():
        if all(_knows(port, scene.publisher.price) for port in scene.cluster.worker_ports()):
            return time.monotonic() - began_s
        time.sleep(0.2)
    return None


def _knows(port: int, price: str) -> bool:
    try:
        found = requests.get(
            f"http://127.0.0.1:{port}/v1/search",
            params={"q": "How much does the Meteor lamp cost?"},
            timeout=10,
        ).json()
    except (requests.RequestException, ValueError):
        return False
    return any(price in passage["text"] for passage in found.get("passages", ()))
