"""Plugins in memory: each answers with a function of its own, and notes what it was asked."""

from collections.abc import Callable, Sequence
from typing import Any

from kotaemon_node.ports.plugins import Plugin, PluginCall, PluginDescription
from kotaemon_node.ports.runtime import StopSignal

Script = Callable[[PluginCall], Any]
"""Returns the answer of one call, or raises ``ToolFailed`` or ``ToolOutcomeUnknown``."""


class ScriptedPlugin:
    """``ports.plugins.Plugin``."""

    def __init__(self, description: PluginDescription, script: Script) -> None:
        self._description = description
        self._script = script
        self.asked: list[PluginCall] = []

    @property
    def description(self) -> PluginDescription:
        return self._description

    def call(self, call: PluginCall, *, stop: StopSignal) -> Any:
        self.asked.append(call)
        return self._script(call)

    def entries(self) -> list[str]:
        """Return what of it was called, in order."""
        return [call.entry for call in self.asked]


class FixedPlugins:
    """``ports.plugins.Plugins``: the same ones for every session, until a test replaces them."""

    revision = 1

    def __init__(self, *plugins: Plugin) -> None:
        self.plugins: tuple[Plugin, ...] = plugins

    def offered(self, tenant: str, session_id: str) -> Sequence[Plugin]:
        return self.plugins
