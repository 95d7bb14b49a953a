"""A plugin is watched all the time: while it is told something, and while it waits for us."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kotaemon_node.adapters.sandbox.line import Line
from kotaemon_node.adapters.sandbox.memory_storage import MemoryPluginStorage
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.ports.plugin_storage import PluginName
from kotaemon_node.ports.tools import ToolFailed, ToolOutcomeUnknown
from tests.sandboxed import WILD, started

BOMB = """
    def bomb():
        import threading, time
        for _ in range(200):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
"""


class Seen(Exception):
    """What a watch raises."""


def seen() -> None:
    raise Seen


def test_whoever_does_not_read_is_watched_meanwhile() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(Seen):
        Line(ours, clock=SystemClock()).send({"text": "x" * 500_000}, seen)


@pytest.fixture
def slow_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A store that answers when the test ends."""
    end = threading.Event()

    def waits(self: MemoryPluginStorage, plugin: PluginName, key: str, *rest: object) -> None:
        assert end.wait(60)

    monkeypatch.setattr(MemoryPluginStorage, "get", waits)
    monkeypatch.setattr(
        MemoryPluginStorage, "set", lambda self, plugin, key, text, *, ttl_s: end.wait(60)
    )
    yield end
    end.set()


@pytest.mark.parametrize(
    ("act", "error"), [("get('mine')", ToolFailed), ("set('mine', 1)", ToolOutcomeUnknown)]
)
def test_who_waits_for_a_slow_store_is_watched_meanwhile(
    tmp_path: Path, slow_store: threading.Event, act: str, error: type[Exception]
) -> None:
    manifest = "{effects: once, storage: [mine], timeout_s: 10, limits: {memory_mb: 2048}}"
    with started(tmp_path, WILD, manifest) as wild:
        code = BOMB + f"    threading.Thread(target=bomb).start()\n    self.shared_storage.{act}"
        with pytest.raises(error):
            wild.does(code)
        assert wild.ends.causes == ["threads"]


def test_who_waits_for_a_connection_is_watched_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: end.wait(60) and [])
    monkeypatch.setattr(limits, "PLUGIN_CONNECT_S_MAX", 60.0)
    manifest = (
        "{effects: read, hosts: ['slow.example:80'], timeout_s: 10, limits: {memory_mb: 2048}}"
    )
    with started(tmp_path, WILD, manifest) as wild:
        connect = "socket.create_connection(('slow.example', 80))"
        with pytest.raises(ToolFailed):
            wild.does(BOMB + f"    threading.Thread(target=bomb).start()\n    {connect}")
        end.set()
        assert wild.ends.causes == ["threads"]
