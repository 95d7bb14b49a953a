"""The cluster, its language model, its tools and the documents that change, for one run."""

import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
import yaml

from kotaemon_node.adapters.redis import connect
from kotaemon_node.chaos.run import Surroundings
from kotaemon_node.chaos.target import Target
from kotaemon_node.chaos.writers import QUESTIONS
from load.chaos.model import PACE, ROOT, Model
from load.chaos.stores import Store, store
from tests.cluster import Cluster
from tests.fakes.tool_server import ToolServer

WORKERS = 3
PUBLISH_S = 5.0
TOOL_S = 0.5
"""A tool has acted so long before it says so: some kills fall in between."""
QUIET_S = 0.3
"""The model's texts never come so late behind each other, and its end does (``PACE``)."""
ALWAYS = 1_000_000_000
KNOWN_WITHIN_S = 40.0
"""Knowledge is 30 s late at most where events are lost."""
ASKED: Final = (
    *QUESTIONS,
    "How much does the Meteor lamp cost today?",
    "How much does the Meteor lamp cost today?",
    'Where is my order? call:once_act{"order": "A1"}',
    'Where is my order? call:idempotent_act{"order": "A2"}',
)
_PRICE = re.compile(r"costs (\d+) dollars")


@dataclass(frozen=True, slots=True)
class Scene:
    """What faults are done to."""

    target: Target
    model: Model
    tools: ToolServer
    store: Store
    redis: Any
    """A client of the whole store."""
    publisher: "Publisher"
    durability: str
    clocks: Path
    """A file for each pod whose clock is wrong: seconds ahead."""

    def surroundings(self) -> Surroundings:
        """Return what a run needs to know of it."""
        return Surroundings(
            self.target, self.store.direct_url, ASKED, quiet_s=QUIET_S, tool_s=TOOL_S
        )


@contextmanager
def scene(
    folder: Path,
    *,
    pace: Mapping[str, float] = PACE,
    kind: str = "single",
    durability: str = "local",
    settings: Mapping[str, str] | None = None,
) -> Iterator[Scene]:
    """Start everything in ``folder`` and stop it at the end.

    ``pace``: of the language model. ``kind``: of the store. ``durability``: the setting.
    ``settings``: others, by name.
    """
    knowledge, clocks = folder / "knowledge", folder / "clocks"
    shutil.copytree(ROOT / "sample" / "knowledge", knowledge)
    clocks.mkdir()
    with ExitStack() as stack:
        model = stack.enter_context(Model(pace))
        tools = stack.enter_context(ToolServer())
        tools.doings.delay_s, tools.doings.times = TOOL_S, ALWAYS
        tools_file = folder / "tools.yaml"
        described = tools.described(once_act="once", idempotent_act="idempotent")
        tools_file.write_text(yaml.safe_dump(described), "utf-8")
        kept = stack.enter_context(store(kind))
        environment = {
            "LLM_BASE_URL": model.base_url,
            "LLM_CONTINUE": "vllm",
            "ANSWER_CACHE_TTL_S": "0",  # the same question is to be answered anew, word by word
            "TOOLS_FILE": str(tools_file),
            "REDIS_URL": kept.url,
            "DURABILITY": durability,
            "CHAOS_CLOCKS": str(clocks),
            "PYTHONPATH": f"{ROOT / 'load' / 'chaos' / 'clock'}:{ROOT}",
            **(settings or {}),
        }
        publisher = Publisher(knowledge)
        publisher.publish()
        cluster = stack.enter_context(
            Cluster(folder / "data", workers=WORKERS, knowledge=knowledge, environment=environment)
        )
        stack.enter_context(publisher)
        client = connect(kept.direct_url).client
        stack.callback(client.close)
        target = Target.running(cluster.folder)
        yield Scene(target, model, tools, kept, client, publisher, durability, clocks)


class Publisher:
    """Changes a document every few seconds."""

    def __init__(self, knowledge: Path) -> None:
        self._file = knowledge / "lamp.md"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.price = 1000
        """What the newest revision says, in dollars; each one says more."""

    def __enter__(self) -> "Publisher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Publish no more."""
        self._stopped.set()
        self._thread.join()

    def publish(self) -> None:
        """Write the next revision."""
        price = self.price + 1
        text = f"# Meteor lamp\n\nThe Meteor lamp costs {price} dollars today.\n"
        self._file.write_text(text, "utf-8")
        self.price = price

    def _run(self) -> None:
        while not self._stopped.wait(PUBLISH_S):
            self.publish()


def until_known(scene: Scene) -> float | None:
    """Return after how many seconds every pod knows today's revision; None: too late.

    Newer ones, which are published meanwhile, will do.
    """
    price, began_s = scene.publisher.price, time.monotonic()
    while time.monotonic() - began_s < KNOWN_WITHIN_S:
        if all(_knows(port, price) for port in scene.target.worker_ports()):
            return time.monotonic() - began_s
        time.sleep(0.2)
    return None


def _knows(port: int, price: int) -> bool:
    try:
        found = requests.get(
            f"http://127.0.0.1:{port}/v1/search",
            params={"q": "How much does the Meteor lamp cost?"},
            timeout=10,
        ).json()
    except (requests.RequestException, ValueError):
        return False
    texts = " ".join(passage["text"] for passage in found.get("passages", ()))
    return any(int(said) >= price for said in _PRICE.findall(texts))
