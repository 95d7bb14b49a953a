"""Versions of plugins that are offered no more, and turns that still know them."""

import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kotaemon_node.domain import acting_limits as bounds
from kotaemon_node.domain import limits
from kotaemon_node.ports.plugin_registry import LoadedPlugin
from kotaemon_node.ports.plugins import PluginCall, PluginDescription
from kotaemon_node.ports.runtime import Clock, StopSignal


class Lent:
    """A loaded version as turns get it. Nobody knows it any more once this is collected."""

    def __init__(self, loaded: LoadedPlugin) -> None:
        self._loaded = loaded

    @property
    def description(self) -> PluginDescription:
        """See ``ports.plugins.Plugin``."""
        return self._loaded.description

    def call(self, call: PluginCall, *, stop: StopSignal) -> Any:
        """See ``ports.plugins.Plugin``."""
        return self._loaded.call(call, stop=stop)


@dataclass(slots=True)
class _Waiting:
    name: str
    lent: "weakref.ref[Lent]"
    loaded: LoadedPlugin
    until_s: float


class Retiring:
    """Keeps what was replaced until no turn knows it, for the longest time that a turn takes.

    Of one plugin ``PLUGINS_RETIRING_MAX`` at most: whoever changes it faster ends the oldest.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []

    def add(self, name: str, lent: Lent, loaded: LoadedPlugin) -> None:
        """Take a version over from whoever offered it, and must not keep it."""
        until_s = self._clock.monotonic_s() + limits.TURN_TIMEOUT_S
        with self._lock:
            self._waiting.append(_Waiting(name, weakref.ref(lent), loaded, until_s))
            same = [it for it in self._waiting if it.name == name]
            for oldest in same[: -bounds.PLUGINS_RETIRING_MAX]:
                oldest.until_s = 0.0

    def sweep(self) -> None:
        """End those that nobody knows, or for too long. Their running calls go on in any case."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            over = [it for it in self._waiting if it.lent() is None or it.until_s <= now_s]
            self._waiting = [it for it in self._waiting if it not in over]
        _retire(it.loaded for it in over)

    def end(self) -> None:
        """End all."""
        with self._lock:
            over, self._waiting = self._waiting, []
        _retire(it.loaded for it in over)


def _retire(versions: Iterable[LoadedPlugin]) -> None:
    for version in versions:
        version.retire()
