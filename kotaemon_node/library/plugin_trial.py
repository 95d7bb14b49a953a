"""Plugins on trial, outside any cluster: in this process, or behind the walls that pods build."""

import atexit
import json
import shutil
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, Protocol

from kotaemon_node.adapters.bundles import check_source, read_plugin, unpack
from kotaemon_node.adapters.sandbox.manifest_file import read_manifest
from kotaemon_node.adapters.sandbox.memory_storage import MemoryPluginStorage
from kotaemon_node.adapters.sandbox.start import start_plugin
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.arguments import problem_of
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.plugin_bundle import manifest_text
from kotaemon_node.domain.plugin_manifest import Manifest
from kotaemon_node.plugins.child.calling import Caller as InProcessCaller
from kotaemon_node.plugins.child.frames import LENGTH
from kotaemon_node.plugins.child.loading import load
from kotaemon_node.ports.plugins import Hook, PluginCall, PluginDescription
from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.ports.tools import ToolFailed


class _Never:
    """``ports.runtime.StopSignal`` of calls that nobody stops."""

    def breaking_off(self, break_off: Any) -> AbstractContextManager[None]:
        """See the port."""
        return nullcontext()


_NEVER: Final = _Never()


class Trial(Protocol):
    """A plugin that may be called."""

    @property
    def description(self) -> PluginDescription:
        """What it is, as pods know it."""
        ...

    def call(self, call: PluginCall, *, stop: StopSignal = ...) -> Any:
        """Call it, as ``ports.plugins.Plugin``; without a ``stop`` nobody stops it."""
        ...

    def close(self) -> None:
        """End it."""
        ...


def on_trial(path: Path, *, config: Mapping[str, Any], sandboxed: bool) -> Trial:
    """Return the plugin whose file, folder or manifest ``path`` is, checked as a pod checks it.

    Raises ``Invalid`` and ``TooLarge``, and what its start raises.
    """
    read = read_plugin(path)
    check_source(read.files)
    manifest = read_manifest(read.name, manifest_text(read.files))
    place = Path(tempfile.mkdtemp(prefix="kotaemon-plugin-"))
    try:
        folder = unpack(read.files, place, "plugin")
        make = _Sandboxed if sandboxed else _InProcess
        return make(folder, manifest, config, place)
    except BaseException:
        _removed(place)
        raise


class _Sandboxed:
    def __init__(
        self, folder: Path, manifest: Manifest, config: Mapping[str, Any], place: Path
    ) -> None:
        clock = SystemClock()
        self._place = place
        self._plugin = start_plugin(
            folder,
            manifest,
            config=config,
            tenant=DEFAULT_TENANT,
            storage=MemoryPluginStorage(clock=clock),
            clock=clock,
            tasks=ThreadTasks(),
        )

    @property
    def description(self) -> PluginDescription:
        return self._plugin.description

    def call(self, call: PluginCall, *, stop: StopSignal = _NEVER) -> Any:
        return self._plugin.call(call, stop=stop)

    def close(self) -> None:
        self._plugin.retire()
        # Not yet: a process that the pool has just started still reads it.
        atexit.register(_removed, self._place)


class _InProcess:
    """No walls and no time limit, so that a debugger may stop in it."""

    def __init__(
        self, folder: Path, manifest: Manifest, config: Mapping[str, Any], place: Path
    ) -> None:
        self._place, self._manifest = place, manifest
        self._kept = _Kept(manifest)
        before = list(sys.path)
        told = {**manifest.config, **config}
        try:
            self._plugin, said = load(folder, manifest.name, told, self._kept)
        finally:
            sys.path[:] = before
            sys.modules.pop(manifest.name, None)
        self._caller = InProcessCaller(self._plugin)
        self._description = PluginDescription(
            manifest.name,
            version="",
            description=said["description"],
            effects=manifest.effects,
            parameters=said["parameters"],
            hooks=tuple(
                Hook(it["intent"], it["method"], it["priority"], tuple(it["examples"]))
                for it in said["hooks"]
            ),
            runs=said["runs"],
            looks_up=said["looks_up"],
            timeout_s=manifest.timeout_s,
            confirm=manifest.confirm and manifest.effects != "read",
        )

    @property
    def description(self) -> PluginDescription:
        return self._description

    def call(self, call: PluginCall, *, stop: StopSignal = _NEVER) -> Any:
        about, caller = self._description, call.caller
        if call.entry == "run" and (problem := problem_of(call.arguments, about.parameters)):
            raise ToolFailed(f"{about.name}: {problem}", reached=False, fault=False)
        self._kept.given = {
            f"user_id:{caller.session_id}": caller.user_id,
            f"context:{caller.session_id}": dict(caller.context),
        }
        frame = self._caller.answer(
            {
                "id": 0,
                "entry": call.entry,
                "method": call.method,
                "arguments": dict(call.arguments),
                "user_input": call.user_input,
                "session_id": caller.session_id,
                "user_id": caller.user_id,
                "context": dict(caller.context),
                "slots": dict(caller.slots),
                "idempotency_key": call.key,
                "repeatable": self._manifest.effects == "idempotent",
                "left_s": self._manifest.timeout_s,
            }
        )
        answer = json.loads(frame[LENGTH.size :])
        if "raised" in answer:
            raise ToolFailed(str(answer["log"]), reached=True)
        if "value" not in answer:
            raise ToolFailed(f"it is no JSON value: {answer.get('unreadable')}", reached=True)
        return answer["value"]

    def close(self) -> None:
        try:
            self._plugin.teardown()
        except Exception as error:
            raise ToolFailed("".join(traceback.format_exception(error)), reached=True) from error
        finally:
            _removed(self._place)


class _Kept:
    """``plugins.SharedStorage`` as long as this process; refuses what pods refuse."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._values: dict[str, Any] = {}
        self.given: Mapping[str, Any] = {}
        """Of the running call: who asks, and what the turn knows."""

    def get(self, key: str, default: Any = None) -> Any:
        """See the protocol."""
        if key in self.given:
            found = self.given[key]
        else:
            self._check(key)
            found = self._values.get(key)
        return default if found is None else found

    def set(self, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        """See the protocol; what is no JSON is refused as in a pod."""
        self._check(key)
        self._values[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        """See the protocol."""
        self._check(key)
        self._values.pop(key, None)

    def _check(self, key: str) -> None:
        if not self._manifest.may_keep(key):
            why = f"{key!r:.130} is not among the storage keys of its manifest"
            raise PermissionError(why)


def _removed(place: Path) -> None:
    for path in [place, *place.rglob("*")]:
        if path.is_dir():
            path.chmod(0o700)  # what is unpacked is read only
    shutil.rmtree(place, ignore_errors=True)
