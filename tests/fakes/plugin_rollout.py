"""A registry in memory and a loader whose plugins answer with the version that they are."""

import threading
from collections.abc import Mapping
from typing import Any

from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.plugin_releases import PluginRow, Release
from kotaemon_node.ports.plugin_registry import Change, Desired, PluginRefused, Wanted
from kotaemon_node.ports.plugins import PluginCall, PluginDescription
from kotaemon_node.ports.runtime import StopSignal


def release(letter: str, config: Mapping[str, Any] | None = None) -> Release:
    """A release whose bundle's digest is 64 times a letter from a to f."""
    return Release(letter * 64, "0" * 16, "00", config or {})


class MemoryRegistry:
    """``ports.plugin_registry.PluginRegistry`` for one tenant."""

    def __init__(self) -> None:
        self.away = False
        self._lock = threading.Lock()
        self._desired = Desired()

    def revision(self, tenant: str) -> int:
        self._answer()
        return self._desired.revision

    def read(self, tenant: str) -> Desired:
        self._answer()
        return self._desired

    def change(self, tenant: str, name: str, change: Change) -> tuple[PluginRow | None, int]:
        self._answer()
        with self._lock:
            rows = dict(self._desired.rows)
            before = rows.pop(name, None)
            after = change(before)
            if after is not None:
                rows[name] = after
            if after != before:
                self._desired = Desired(self._desired.revision + 1, rows)
            return after, self._desired.revision

    def set(self, row: PluginRow) -> None:
        self.change("default", row.name, lambda _: row)

    def remove(self, name: str) -> None:
        self.change("default", name, lambda _: None)

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("the store does not answer")


class Loaded:
    """A plugin that answers with the version it is; ``gate`` holds its calls up."""

    def __init__(self, wanted: Wanted, mark: str) -> None:
        self.wanted = wanted
        self.mark = mark
        self.retired = False
        self.gate: threading.Event | None = None
        self.description = PluginDescription(
            name=wanted.name,
            version=wanted.release.version,
            description="A plugin of a test.",
            effects="read",
            parameters={"type": "object"},
        )

    def call(self, call: PluginCall, *, stop: StopSignal) -> Any:
        if self.gate is not None:
            assert self.gate.wait(60)
        return {"result": self.wanted.release.bundle[:1]}

    def retire(self) -> None:
        self.retired = True


class MemoryLoader:
    """``ports.plugin_registry.PluginLoader``. Refuses ``bad`` bundles, waits in ``slow`` ones."""

    def __init__(self) -> None:
        self.bad: set[str] = set()
        self.slow: dict[str, threading.Event] = {}
        self.secret = "s1"
        self.loaded: list[Loaded] = []
        self.refused = 0

    def mark(self, wanted: Wanted) -> str:
        return self.secret if "secret" in wanted.release.config else ""

    def load(self, wanted: Wanted) -> Loaded:
        letter = wanted.release.bundle[:1]
        if letter in self.slow:
            assert self.slow[letter].wait(60)
        if letter in self.bad:
            self.refused += 1
            raise PluginRefused(f"{letter} does not start")
        self.loaded.append(Loaded(wanted, self.mark(wanted)))
        return self.loaded[-1]

    def alive(self) -> list[str]:
        return [it.wanted.release.bundle[:1] for it in self.loaded if not it.retired]
