"""From the plugin folder to the calls of two pods: real processes, a real Redis, signed bundles."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coordinator.plugins import PluginFolder
from kotaemon_node.adapters.bundles import BundleLoader, BundleShelf, PluginSecrets
from kotaemon_node.adapters.redis import RedisPlugins, RedisStreamsBus, connect
from kotaemon_node.adapters.sandbox.manifest_file import read_manifest
from kotaemon_node.adapters.sandbox.memory_storage import MemoryPluginStorage
from kotaemon_node.adapters.sandbox.start import start_plugin
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.store.uploads import StoreUploads
from kotaemon_node.adapters.system import RandomIds, ThreadTasks
from kotaemon_node.domain.events import CONFIG_UPDATED
from kotaemon_node.domain.plugin_bundle import manifest_text, plugin_name_of
from kotaemon_node.domain.plugin_manifest import Manifest
from kotaemon_node.domain.plugin_releases import with_config, with_rollout
from kotaemon_node.engine.plugin_fleet import PluginFleet
from kotaemon_node.listeners.config_updated import ConfigUpdatedListener
from kotaemon_node.listeners.dispatch import Dispatch
from kotaemon_node.ports.plugins import Plugin, PluginCall
from kotaemon_node.ports.tools import Caller
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.signing import SIGNER, VERIFIER
from tests.redis_server import RedisServer, ServerClock

SOURCE = """
import time
from kotaemon_node.plugins import BasePlugin

class Parcels(BasePlugin):
    name, description = "parcels", "Knows its version and its key."

    def run(self, wait_s: float = 0.0):
        time.sleep(wait_s)
        return {"result": "VERSION", "details": [self.config.get("key", "")]}
"""


class NeverStops:
    """A stop signal of a turn that nobody stops."""

    @contextmanager
    def breaking_off(self, break_off: Callable[[], None]) -> Iterator[None]:
        yield


class Pods:
    """A coordinator over a plugin folder, and two pods that follow it."""

    def __init__(self, root: Path, server: RedisServer) -> None:
        url = server.url
        self.folder, self.secrets = root / "plugins", root / "secrets"
        self.folder.mkdir()
        self.secrets.mkdir()
        self.clock, self.tasks = ServerClock(server), ThreadTasks()
        store = FileArtifactStore(root / "artifacts")
        redis = connect(url)
        self.registry = RedisPlugins(redis)
        self.leading = PluginFolder(
            self.folder,
            registry=self.registry,
            store=store,
            signer=SIGNER,
            bus=RedisStreamsBus(redis, clock=self.clock),
            leads=lambda: True,
            clock=self.clock,
            ids=RandomIds(),
            tenant="default",
        )
        self.fleets = [self._fleet(root / f"pod-{it}", store, url) for it in range(2)]
        threading.Thread(target=self.leading.run, daemon=True).start()
        for fleet in self.fleets:
            threading.Thread(target=fleet.run, daemon=True).start()

    def _fleet(self, cache: Path, store: FileArtifactStore, url: str) -> PluginFleet:
        redis = connect(url)
        shelf = BundleShelf(
            store,
            StoreUploads(store, native=here),
            VERIFIER,
            tenant="default",
            folder=cache,
            native=here,
        )
        fleet = PluginFleet(
            RedisPlugins(redis),
            BundleLoader(shelf, PluginSecrets(self.secrets), read=read, start=self._start),
            tenant="default",
            tasks=self.tasks,
            clock=self.clock,
        )
        listener = ConfigUpdatedListener("default", look=fleet.wake)
        bus = RedisStreamsBus(redis, waiting=connect(url), clock=self.clock)
        dispatch = Dispatch(bus, {CONFIG_UPDATED: listener}, metrics=Metrics(), clock=self.clock)
        hear = threading.Thread(target=lambda: dispatch.run(on_positioned=fleet.wake), daemon=True)
        hear.start()
        return fleet

    def _start(self, folder: Path, manifest: Manifest, **told: Any) -> Any:
        return start_plugin(
            folder,
            manifest,
            **told,
            tenant="default",
            storage=MemoryPluginStorage(clock=self.clock),
            clock=self.clock,
            tasks=self.tasks,
        )

    def writes(self, version: str) -> None:
        (self.folder / "parcels.py").write_text(SOURCE.replace("VERSION", version))

    def offered(self, session: str = "s1") -> list[Plugin]:
        """What each pod offers to a session."""
        return [plugin for fleet in self.fleets for plugin in fleet.offered("default", session)]

    def answers(self, session: str = "s1") -> list[str]:
        return [called(plugin)["result"] for plugin in self.offered(session)]

    def close(self) -> None:
        self.leading.stop()
        for fleet in self.fleets:
            fleet.end()


def here(work: Any, *arguments: Any) -> Any:
    return work(*arguments)


def read(files: Mapping[str, bytes]) -> Manifest:
    return read_manifest(plugin_name_of(files), manifest_text(files))


def called(plugin: Plugin, **arguments: Any) -> Any:
    call = PluginCall("run", Caller("default", "s1"), "key", arguments=arguments)
    return plugin.call(call, stop=NeverStops())


@pytest.fixture
def pods(tmp_path: Path, server: RedisServer) -> Iterator[Pods]:
    pods = Pods(tmp_path, server)
    yield pods
    pods.close()


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1_200):
        if condition():
            return
        pause.wait(0.05)
    raise AssertionError("not within a minute")


def test_a_file_comes_to_every_pod_changes_is_tried_and_goes(pods: Pods) -> None:
    pods.writes("one")
    until(lambda: pods.answers() == ["one", "one"])

    # A call that runs ends in the version in which it began.
    held = pods.offered()[0]
    ended: list[Any] = []
    running = threading.Thread(target=lambda: ended.append(called(held, wait_s=2.0)))
    running.start()
    pods.writes("two")
    until(lambda: pods.answers() == ["two", "two"])
    running.join(60)
    assert ended[0]["result"] == "one"
    assert called(held)["result"] == "one"

    # A tenth of the sessions, the same on both pods.
    pods.registry.change("default", "parcels", lambda row: row and with_rollout(row, 10))
    pods.writes("three")
    sessions = [f"s{number}" for number in range(100)]

    def versions() -> list[list[str]]:
        return [[it.description.version for it in pods.offered(session)] for session in sessions]

    def agreed() -> bool:
        found = versions()
        return len({tuple(it) for it in found}) == 2 and all(one == other for one, other in found)

    until(agreed)
    tried = [s for s, it in zip(sessions, versions(), strict=True) if it != versions()[0]]
    few = min(tried, [s for s in sessions if s not in tried], key=len)
    assert 2 <= len(few) <= 25
    assert pods.answers(few[0]) == ["three", "three"]

    # A file with an error keeps what is there, and says why.
    (pods.folder / "parcels.py").write_text("def broken(:\n")
    until(lambda: "line 1" in pods.registry.read("default").rows["parcels"].problem)
    assert pods.answers(few[0]) == ["three", "three"]

    (pods.folder / "parcels.py").unlink()
    until(lambda: pods.offered() == [])


def test_secrets_come_from_files_and_rotate_without_a_restart(pods: Pods) -> None:
    (pods.secrets / "SHOP_KEY").write_text("first\n")
    (pods.folder / "parcels.yaml").write_text("config: {key: {secret: SHOP_KEY}}\n")
    pods.writes("one")
    until(lambda: [called(it)["details"] for it in pods.offered()] == [["first"], ["first"]])

    (pods.secrets / "SHOP_KEY").write_text("second\n")
    until(lambda: [called(it)["details"] for it in pods.offered()] == [["second"], ["second"]])
    assert pods.answers() == ["one", "one"]
    assert "second" not in str(pods.registry.read("default"))

    pods.registry.change("default", "parcels", lambda row: row and with_config(row, {"key": "k"}))
    until(lambda: [called(it)["details"] for it in pods.offered()] == [["k"], ["k"]])


def test_a_version_that_does_not_start_keeps_the_one_before_on_every_pod(pods: Pods) -> None:
    pods.writes("one")
    until(lambda: pods.answers() == ["one", "one"])

    (pods.folder / "parcels.py").write_text("raise RuntimeError('no')\n" + SOURCE)

    def problems() -> list[str]:
        reports = [fleet.report().get("parcels", {}) for fleet in pods.fleets]
        return [report.get("problem", "") for report in reports]

    until(lambda: all(problems()))
    assert all("no" in problem for problem in problems())
    assert pods.answers() == ["one", "one"]
