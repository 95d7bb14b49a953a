"""Fault 15 on processes: the leader is killed at each step of publishing, and the standby goes on.

What is killed is a copy of the program that ends itself right behind the step it was given. Its
encoder needs no model and its lead runs out soon: what the test waits for is not the subject.
"""

import hashlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.signing import read_trusted_keys
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.retrieval.library import KnowledgeLibrary
from tests.fakes.encoder import HashingEncoder
from tests.fakes.signing import key_settings
from tests.integration.test_coordinator_process import Process, Site, until
from tests.redis_server import RedisServer

# What is done last: class, method, and a part of its first argument.
STEPS = {
    "text": "FileArtifactStore put_if_absent /texts/",
    "segment": "FileArtifactStore put_file_if_absent /segments/",
    "manifest": "FileArtifactStore put_if_absent /manifests/",
    "pointer": "RedisGenerationPointer publish kb",
    "event": "RedisStreamsBus publish kb",
}
PROGRAM = """
import os, pathlib, signal, sys
from coordinator import composing, main, standing
from kotaemon_node.composition import buses
from kotaemon_node.domain import limits
from tests.fakes.encoder import HashingEncoder

armed = pathlib.Path(sys.argv[1])

def make_deadly(step):
    kind, method, part = step.split()
    parts = [part for part in (composing, standing, buses) if hasattr(part, kind)]
    owner = getattr(parts[0], kind)
    real = getattr(owner, method)

    def deadly(self, *arguments):
        result = real(self, *arguments)
        if part in str(arguments) and armed.exists() and armed.read_text() == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, method, deadly)

for step in sys.argv[2:]:
    make_deadly(step)
limits.LEADER_TTL_S = 2.0
standing.make_encoder = lambda *settings, **more: HashingEncoder()
sys.exit(main.main())
"""
DOCUMENTS = [f"{number:02}.md" for number in range(60)]


def text_of(document: str, version: int) -> str:
    return f"Version {version} of {document}, which tells of lamps, chairs and shipping."


def revision_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def versions(top: int) -> dict[str, int]:
    """Return revision → version of every document in every version up to ``top``."""
    return {
        revision_of(text_of(name, version)): version
        for name in DOCUMENTS
        for version in range(top + 1)
    }


class Pod:
    """Comes to each generation that is pointed to, and compares what it finds with its manifest."""

    def __init__(self, site: Site) -> None:
        keys = key_settings(site.root)
        self._library = KnowledgeLibrary(
            store=FileArtifactStore(site.artifacts),
            segment_format=FaissSegmentFormat(),
            verifier=read_trusted_keys(keys["TRUSTED_KEYS"]),
            pointer=site.pointer,
            encoder_for=lambda _: HashingEncoder(),
            tasks=ThreadTasks(),
            clock=SystemClock(),
            tenant="default",
        )
        self._known = versions(len(STEPS))
        self._stopped = threading.Event()
        self.wrong: list[str] = []
        self.served: list[int] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(0.05):
            try:
                self._library.reconcile()
                if self._library.served():
                    self._look()
            except Exception as error:  # noqa: BLE001 - whatever it is, a pod must not meet it
                self.wrong.append(repr(error))
            self.wrong += self._library.refused.values()

    def _look(self) -> None:
        with self._library.pinned("default") as searcher:
            number = searcher.manifest.generation
            if self.served[-1:] == [number]:
                return
            if self.served and number < self.served[-1]:
                self.wrong.append(f"{number} after {self.served[-1]}")
            self.served.append(number)
            for entry in searcher.manifest.documents:
                if entry.status == "queued":
                    continue  # it was not read in time for this generation
                version = self._known.get(entry.revision)
                found = [it.text for it in searcher.passages_of(entry.document)]
                if version is None or found != [text_of(entry.document, version)]:
                    self.wrong.append(f"{number}: {entry} has {found}")

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


class Mortal(Process):
    """A coordinator that can be told behind which step it is to die."""

    def __init__(self, site: Site, name: str) -> None:
        super().__init__(site, name)
        self._armed = site.root / f"{name}-armed"
        self.command = [sys.executable, "-c", PROGRAM, str(self._armed), *STEPS.values()]

    def arm(self, step: str) -> None:
        aside = self._armed.with_suffix(".aside")
        aside.write_text(STEPS[step], encoding="utf-8")
        aside.rename(self._armed)

    def await_death(self) -> None:
        assert self._popen is not None
        try:
            assert self._popen.wait(timeout=30) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            pytest.fail(f"it lives; its log: {self.logged()[-5:]}")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    server = RedisServer()
    server.start()
    site = Site(tmp_path, server)
    (site.knowledge / "hours.md").unlink()
    yield site
    site.clock.closed = True
    server.remove()


@pytest.fixture
def coordinators(site: Site) -> Iterator[list[Mortal]]:
    started = [Mortal(site, name) for name in ("spare", *STEPS)]
    for process in started:
        process.start()
    yield started
    for process in started:
        process.remove()


def test_a_standby_goes_on_wherever_the_leader_is_killed(
    site: Site, coordinators: list[Mortal]
) -> None:
    def write(version: int) -> None:
        for document in DOCUMENTS:
            (site.knowledge / document).write_text(text_of(document, version), encoding="utf-8")

    def wait_for(version: int) -> None:
        wanted = [revision_of(text_of(name, version)) for name in DOCUMENTS]
        until(site.generation, what="a generation")
        until(
            lambda: [it.revision for it in site.manifest().documents] == wanted,
            what=f"version {version}",
        )

    def leading() -> Mortal | None:
        return next((it for it in coordinators if it.status.get("role") == "leader"), None)

    # Given one that leads, others that stand by, and a pod that serves what was published
    write(0)
    wait_for(0)
    pod = Pod(site)
    for version, step in enumerate(STEPS, start=1):
        # When the leader is killed in the middle of publishing the next version
        leader = until(leading, what="a leader")
        leader.arm(step)
        write(version)
        leader.await_death()
        # Then another one publishes all of it
        wait_for(version)
        until(lambda: pod.served[-1:] == [site.generation()], what="the pod")
    until(lambda: site.events[-1][1]["generation"] == site.generation(), what="the last event")
    pod.stop()
    # And the pod met nothing that was not as its manifest says, and never went back
    assert pod.wrong == []
    assert len(pod.served) > len(STEPS)
