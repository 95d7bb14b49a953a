"""One toolbox of plugins and of the tools that an operator described in a file.

What a session is offered follows from its roll-out. A hook of a plugin is called by the same path,
under the name ``plugin.method``; it is no tool, and a language model is never told of it.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from kotaemon_node.domain.limits import TOOL_TIMEOUT_S_MAX
from kotaemon_node.ports.plugins import Plugin, PluginCall, PluginDescription, Plugins
from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.ports.tools import Caller, Found, Toolbox, ToolFailed, ToolSpec, found_of

_log = structlog.get_logger(__name__)

USER_INPUT: Final = "user_input"
"""Argument of a hook: the question that stands alone."""


def hook_name(plugin: str, method: str) -> str:
    """Return under what name a hook is called."""
    return f"{plugin}.{method}"


def plugin_of(name: str) -> str:
    """Return whose tool or hook is called ``name``."""
    return name.partition(".")[0]


class PluginToolbox:
    """``ports.tools.Toolbox``. Where a plugin and another tool have one name, the plugin has it."""

    def __init__(self, plugins: Plugins, others: Toolbox | None = None) -> None:
        self._plugins = plugins
        self._others = others
        self._clashes: set[str] = set()
        self._lock = threading.Lock()

    def specs(self, caller: Caller) -> Sequence[ToolSpec]:
        """See the port."""
        offered = self._plugins.offered(caller.tenant, caller.session_id)
        own = [spec_of(it.description) for it in offered if it.description.runs]
        taken = {it.description.name for it in offered}
        others = self._others.specs(caller) if self._others is not None else ()
        for spec in others:
            if spec.name in taken:
                self._note_clash(spec.name)
        return (*own, *(spec for spec in others if spec.name not in taken))

    def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        caller: Caller,
        key: str,
        stop: StopSignal,
    ) -> Any:
        """See the port."""
        plugin = self._plugin(name, caller)
        if plugin is None:
            return self._other(name).call(name, arguments, caller=caller, key=key, stop=stop)
        _, hook, method = name.partition(".")
        said = dict(arguments)
        call = PluginCall(
            "hook" if hook else "run",
            caller,
            key,
            method=method,
            user_input=str(said.pop(USER_INPUT, "")) if hook else "",
            arguments=said,
            timeout_s=TOOL_TIMEOUT_S_MAX if hook else None,
        )
        return plugin.call(call, stop=stop)

    def lookup(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        caller: Caller,
        key: str,
        stop: StopSignal,
    ) -> Found:
        """See the port."""
        plugin = self._plugin(name, caller)
        if plugin is None:
            return self._other(name).lookup(name, arguments, caller=caller, key=key, stop=stop)
        asked = PluginCall("lookup", caller, key, arguments=dict(arguments))
        return found_of(name, plugin.call(asked, stop=stop))

    def _plugin(self, name: str, caller: Caller) -> Plugin | None:
        wanted = plugin_of(name)
        offered = self._plugins.offered(caller.tenant, caller.session_id)
        return next((it for it in offered if it.description.name == wanted), None)

    def _other(self, name: str) -> Toolbox:
        """Return who has the tools that are no plugins'."""
        if self._others is None:
            raise ToolFailed(f"there is no tool {name}", reached=False, fault=False)
        return self._others

    def _note_clash(self, name: str) -> None:
        with self._lock:
            if name in self._clashes:
                return
            self._clashes.add(name)
        _log.warning("tool_name_taken", tool=name, by="plugin", instead_of="TOOLS_FILE")


def spec_of(plugin: PluginDescription) -> ToolSpec:
    """Return a plugin as a tool."""
    changes = plugin.effects != "read"
    return ToolSpec(
        name=plugin.name,
        description=plugin.description,
        parameters=plugin.parameters,
        effects=plugin.effects,
        confirm=plugin.confirm and changes,
        looks_up=plugin.looks_up,
        timeout_s=plugin.timeout_s,
        horizon_s=plugin.horizon_s,
        retries=0 if plugin.effects == "once" else plugin.retries,
        version=plugin.version,
        slow=plugin.slow,
    )


def hook_spec(spec: ToolSpec, name: str) -> ToolSpec:
    """Return what holds for a hook of the plugin ``spec``: it only reads, or proposes.

    Its turn waits for it, however slow the plugin is: a proposal or a question is put in it.
    """
    return replace(
        spec,
        name=name,
        parameters={},
        effects="read",
        confirm=False,
        looks_up=False,
        timeout_s=min(spec.timeout_s, TOOL_TIMEOUT_S_MAX),
        slow=False,
        in_turn=True,
    )
