"""docs/ARCHITECTURE.md walks one message through the code: here a message walks the same way.

A real application, engine, retrieval and Redis; every call is written down in the order of its
first time, and compared with what the page says.
"""

import ast
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

from kotaemon_node.adapters.faiss.segment_format import FaissSegmentFormat
from kotaemon_node.adapters.redis import RedisFrameLog, RedisHotAnswers
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.api.app import create_app
from kotaemon_node.domain.events import SESSION_UPDATED
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.engine.acting.step import Acting
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.intents import Intents
from kotaemon_node.engine.joining import Joining
from kotaemon_node.engine.plugin_tools import PluginToolbox
from kotaemon_node.engine.remembering import Remembering
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.engine.understanding.expanding import Expanding
from kotaemon_node.listeners.session_updated import SessionUpdatedListener
from kotaemon_node.ports.events import Message
from kotaemon_node.retrieval.library import KnowledgeLibrary
from tests.acting_pods import BOOK
from tests.engine_pods import TestPod
from tests.fakes.knowledge import TENANT, Publisher
from tests.fakes.plugins import FixedPlugins
from tests.fakes.services import FakeCluster
from tests.fakes.signing import VERIFIER
from tests.redis_server import RedisServer, ServerClock

ROOT: Final = Path(__file__).parents[2]
NODE: Final = ROOT / "kotaemon_node"
PAGE: Final = ROOT / "docs" / "ARCHITECTURE.md"
_PLACE: Final = re.compile(r"`([\w/]+\.(?:py|lua))`(?: → `([\w.]+)`)?")
# No order: the frames of a status are stored before there is any text.
_UNORDERED: Final = "Frames"
_BESIDE: Final = {("engine/generating.py", "Generating.write")}
"""Steps of another way: with a language model."""

Step = tuple[str, str]
"""File below the package and what is called there; "" of a script."""


def sections() -> dict[str, list[Step]]:
    """Return the steps of the page by their headings."""
    told = PAGE.read_text("utf-8").partition("## The same, file by file")[2].partition("\n## ")[0]
    found: dict[str, list[Step]] = {}
    for line in told.splitlines():
        if line.startswith("**"):
            found[line.strip("*")] = []
        elif re.match(r"\d+\. ", line):
            found[list(found)[-1]] += _PLACE.findall(line)
    return found


STEPS: Final = [step for steps in sections().values() for step in steps]


def test_the_steps_are_numbered_in_their_order() -> None:
    told = PAGE.read_text("utf-8").partition("## The same, file by file")[2].partition("\n## ")[0]
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", told, re.M)]

    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 20


@pytest.mark.parametrize("step", STEPS, ids=":".join)
def test_every_place_is_there(step: Step) -> None:
    file, name = step
    path = NODE / file

    assert path.is_file()
    assert not name or name in defined(path)


def defined(path: Path) -> set[str]:
    """Return the functions of a module, and the methods of its classes."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{it.name}" for it in node.body if isinstance(it, ast.FunctionDef)
            }
    return found


class Walk:
    """The places that were come by, in the order of their first time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.steps: list[Step] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(str(NODE)):
            return
        file = frame.f_code.co_filename.removeprefix(f"{NODE}/")
        self._note((file, frame.f_code.co_qualname))
        script = frame.f_locals.get("script")
        if file == "adapters/redis/connection.py" and isinstance(script, str):
            self._note((f"adapters/redis/lua/{script}.lua", ""))

    def _note(self, step: Step) -> None:
        with self._lock:
            if step not in self.steps:
                self.steps.append(step)


@contextmanager
def walking() -> Iterator[Walk]:
    walk = Walk()
    threading.setprofile(walk)
    sys.setprofile(walk)
    try:
        yield walk
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[KnowledgeLibrary]:
    publisher = Publisher(tmp_path)
    publisher.publish({"lamps.md": "Lamps ship within two days.", "sofas.md": "Sofas are blue."})
    library = KnowledgeLibrary(
        store=publisher.store,
        segment_format=FaissSegmentFormat(),
        verifier=VERIFIER,
        pointer=publisher.pointer,
        encoder_for=lambda _: publisher.encoder,
        tasks=ThreadTasks(),
        clock=SystemClock(),
        tenant=TENANT,
    )
    library.reconcile()
    yield library
    library.close()


def pod_of(server: RedisServer, library: KnowledgeLibrary) -> TestPod:
    """Return a pod that takes every step of an answer without a model."""
    pod = TestPod("walked", server)
    clock, tasks, metrics = ServerClock(server), ThreadTasks(), pod.metrics
    nothing = FixedPlugins()
    pod.answerer.answer = Answerer(  # type: ignore[method-assign]
        library,
        language_model=None,
        clock=clock,
        metrics=metrics,
        steps=ToolSteps(PluginToolbox(nothing), clock=clock, metrics=metrics, tasks=tasks),
        understanding=Expanding(),
        acting=Acting(nothing, Intents(BOOK), clock=clock, tasks=tasks, metrics=metrics),
        remembering=Remembering(
            RedisHotAnswers(pod.store, ttl_s=60),
            joining=Joining(RedisFrameLog(pod.store, clock=clock, tasks=tasks)),
            clock=clock,
            tasks=tasks,
            metrics=metrics,
            programs="walk",
        ),
    ).answer
    return pod


def walked(pod: TestPod) -> Walk:
    """Send a message, read its stream, and let another pod hear of it."""
    services = replace(FakeCluster().services(), turns=pod.engine, sessions=pod.sessions)
    client = create_app(services).test_client()
    heard: list[int] = []

    def newer(key: SessionKey, *, epoch: str, version: int) -> None:
        heard.append(version)

    with walking() as walk:
        answer = client.post(
            "/v1/sessions/walk/turns",
            json={"message": "How soon do lamps ship?", "turn_id": "t1"},
            headers={"Accept": "text/event-stream"},
        )
        assert b"within two days" in answer.data
        pod.until_idle()
        event = json.dumps(pod.events()[-1]).encode()
        SessionUpdatedListener(newer=newer).handle(Message(SESSION_UPDATED, "", event))
    assert heard == [1]
    return walk


def test_a_message_goes_the_way_that_the_page_tells(
    redis_server: RedisServer, library: KnowledgeLibrary
) -> None:
    redis_server.wipe()

    steps = walked(pod_of(redis_server, library)).steps

    for section, told in sections().items():
        expected = [step for step in told if step not in _BESIDE]
        assert [step for step in expected if step not in steps] == [], section
        if section != _UNORDERED:
            assert [step for step in steps if step in expected] == expected, section
