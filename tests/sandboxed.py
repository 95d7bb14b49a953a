"""Real plugins in real processes, for tests: written into a folder, started, called."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

from kotaemon_node.adapters.sandbox.manifest_file import read_manifest
from kotaemon_node.adapters.sandbox.memory_storage import MemoryPluginStorage
from kotaemon_node.adapters.sandbox.plugin import SandboxedPlugin
from kotaemon_node.adapters.sandbox.start import start_plugin
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.adapters.system.tasks import ThreadTasks
from kotaemon_node.ports.plugins import PluginCall
from kotaemon_node.ports.tools import Caller

CALLER = Caller("acme", "s1", turn_id="t1", user_id="u1", context={"language": "en"})

WILD = """
    import os, sys, time, socket, ctypes, threading, mmap, resource
    from kotaemon_node.plugins import BasePlugin, IntentHook, Proposal

    class Wild(BasePlugin):
        name, description = "wild", "Does whatever it is told."

        def run(self, code: str):
            there = {"self": self, **globals()}
            exec(code, there)
            return there.get("answer")
"""
"""A plugin that carries out the code it is given: the worst of authors."""


class NeverStopped:
    """A stop signal that nobody sends."""

    @contextmanager
    def breaking_off(self, break_off: Callable[[], None]) -> Iterator[None]:
        yield


class CountedEnds:
    """Counts why processes ended."""

    def __init__(self) -> None:
        self.causes: list[str] = []

    def plugin_process_ended(self, plugin: str, cause: str) -> None:
        self.causes.append(cause)


class Started:
    """A plugin and what stands around it."""

    def __init__(self, plugin: SandboxedPlugin, ends: CountedEnds) -> None:
        self.plugin = plugin
        self.ends = ends

    def run(
        self,
        *,
        caller: Caller = CALLER,
        key: str = "key-1",
        timeout_s: float | None = None,
        **arguments: Any,
    ) -> Any:
        """Call the tool."""
        call = PluginCall("run", caller, key, arguments=arguments, timeout_s=timeout_s)
        return self.plugin.call(call, stop=NeverStopped())

    def hook(self, method: str, user_input: str = "", *, caller: Caller = CALLER) -> Any:
        """Call a hook."""
        call = PluginCall("hook", caller, "key-1", method=method, user_input=user_input)
        return self.plugin.call(call, stop=NeverStopped())

    def does(self, code: str, **rest: Any) -> Any:
        """Have ``WILD`` carry out code; return what it leaves in ``answer``."""
        return self.run(code=dedent(code), **rest)

    def tries(self, expression: str) -> str:
        """Return the name of the error that an expression raises there; "" where it works."""
        return str(
            self.does(
                f"answer = ''\ntry:\n    {expression}\n"
                "except BaseException as error:\n    answer = type(error).__name__"
            )
        )


@contextmanager
def started(
    folder: Path,
    source: str,
    manifest: str = "",
    *,
    name: str = "wild",
    secrets: tuple[str, ...] = (),
) -> Iterator[Started]:
    """Start a plugin whose file holds ``source``; its processes end with the block."""
    (folder / f"{name}.py").write_text(dedent(source), encoding="utf-8")
    clock, ends = SystemClock(), CountedEnds()
    plugin = start_plugin(
        folder,
        read_manifest(name, dedent(manifest)),
        tenant="acme",
        storage=MemoryPluginStorage(clock=clock),
        clock=clock,
        tasks=ThreadTasks(),
        metrics=ends,
        secrets=secrets,
    )
    try:
        yield Started(plugin, ends)
    finally:
        plugin.retire()


Starts = Callable[..., AbstractContextManager[Started]]
