"""Starts a plugin: its first process, and what it says of itself, checked."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson

from kotaemon_node.adapters.sandbox.hiding import Hiding
from kotaemon_node.adapters.sandbox.launch import Launcher
from kotaemon_node.adapters.sandbox.network import Network, Resolve
from kotaemon_node.adapters.sandbox.plugin import SandboxedPlugin, SandboxMetrics
from kotaemon_node.adapters.sandbox.pool import Pool
from kotaemon_node.adapters.sandbox.process import Broken, Process
from kotaemon_node.adapters.sandbox.services import Services
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.arguments import problem_of_schema
from kotaemon_node.domain.limits import JSON_DEPTH_MAX
from kotaemon_node.domain.nesting import deeper_than
from kotaemon_node.domain.plugin_manifest import Manifest
from kotaemon_node.ports.plugin_registry import PluginRefused
from kotaemon_node.ports.plugin_storage import PluginStorage
from kotaemon_node.ports.plugins import Hook, PluginDescription
from kotaemon_node.ports.runtime import Clock, Tasks

_VERSION_DIGITS: Final = 12
_MEGABYTE: Final = 1024 * 1024
_LAUNCHER: Final = Launcher()


def start_plugin(
    folder: Path,
    manifest: Manifest,
    *,
    config: Mapping[str, Any] | None = None,
    tenant: str,
    storage: PluginStorage,
    clock: Clock,
    tasks: Tasks,
    metrics: SandboxMetrics | None = None,
    version: str = "",
    readable: tuple[str, ...] = (),
    resolve: Resolve | None = None,
    secrets: Sequence[str] = (),
) -> SandboxedPlugin:
    """Start the plugin that lies in ``folder``, for one tenant; returns when it can be called.

    ``folder`` holds ``<name>.py`` or ``<name>/__init__.py`` and nothing that is not the plugin's to
    read; it has to stay until the plugin has ended. ``config`` lies over that of the manifest.
    ``version`` names what lies there; without one it follows from the bytes. ``readable``: further
    files, as certificates of an operator's own. ``resolve``: how the names of hosts are resolved;
    None: in the task that waits. ``secrets``: texts in ``config`` that stand in no log and no
    error. Raises ``PluginRefused``, and what cannot be foreseen.
    """
    folder = folder.resolve()
    told = {**manifest.config, **(config or {})}
    network = Network(manifest, clock=clock, tasks=tasks, resolve=resolve)
    hide = Hiding(secrets)
    services = Services(
        manifest,
        tenant=tenant,
        storage=storage,
        network=network,
        clock=clock,
        tasks=tasks,
        hide=hide,
    )
    order = _first_order(folder, manifest, told, readable)
    name = manifest.name

    def begun() -> tuple[Process, Mapping[str, Any]]:
        launched = _LAUNCHER.launch()
        process = Process(
            launched,
            name=name,
            bounds=manifest.limits,
            services=services,
            clock=clock,
            hide=hide,
        )
        try:
            return process, process.begin(order)
        except BaseException:
            process.end(gently=False)
            raise

    try:
        first, said = begun()
    except Broken as error:
        raise PluginRefused(f"{name} does not start: {error.detail or error.cause}") from None
    except OSError as error:
        raise PluginRefused(f"{name} does not start: {error}") from None
    try:
        described = _described(manifest, said, version or _version_of(folder, told))
        described = replace(described, description=hide(described.description))
    except BaseException as error:
        first.end(gently=False)
        if isinstance(error, TypeError | ValueError | KeyError):
            why = hide(f"{error!s:.2000}")
            raise PluginRefused(f"{name}: what it says of itself is wrong: {why}") from None
        raise
    pool = Pool(first, name=name, start=lambda: begun()[0], clock=clock, tasks=tasks)
    return SandboxedPlugin(described, pool, clock=clock, metrics=metrics)


def _first_order(
    folder: Path, manifest: Manifest, config: Mapping[str, Any], readable: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "parent": os.getpid(),
        "folder": str(folder),
        "name": manifest.name,
        "config": dict(config),
        "readable": list(readable),
        "output_bytes": limits.PLUGIN_OUTPUT_BYTES_MAX,
        "limits": {
            "memory_bytes": manifest.limits.memory_mb * _MEGABYTE,
            "files": manifest.limits.files,
            "cpu_s": manifest.limits.cpu_s,
        },
    }


def _described(manifest: Manifest, said: Mapping[str, Any], version: str) -> PluginDescription:
    """Return the description; ``ValueError``, ``TypeError``, ``KeyError`` for one that is none."""
    parameters = said["parameters"]
    if not isinstance(parameters, dict) or deeper_than(parameters, JSON_DEPTH_MAX):
        raise ValueError("parameters is no JSON schema")
    if problem := problem_of_schema(parameters):
        raise ValueError(f"parameters is no JSON schema: {problem}")
    if len(orjson.dumps(parameters)) > limits.PLUGIN_SCHEMA_BYTES_MAX:
        raise ValueError(f"parameters has more than {limits.PLUGIN_SCHEMA_BYTES_MAX} bytes")
    hooks = said["hooks"]
    if len(hooks) > limits.PLUGIN_HOOKS_MAX:
        raise ValueError(f"it has more than {limits.PLUGIN_HOOKS_MAX} hooks")
    if not hooks and not said["runs"]:
        raise ValueError("it has neither run nor an intent hook")
    return PluginDescription(
        name=manifest.name,
        version=version[:_VERSION_DIGITS],
        description=str(said["description"])[: limits.PLUGIN_DESCRIPTION_CHARS_MAX],
        effects=manifest.effects,
        parameters=parameters,
        hooks=tuple(map(_hook, hooks)),
        runs=said["runs"] is True,
        looks_up=said["looks_up"] is True,
        timeout_s=manifest.timeout_s,
        horizon_s=manifest.horizon_s,
        retries=manifest.retries,
        slow=manifest.slow,
        confirm=manifest.confirm and manifest.effects != "read",
    )


def _hook(said: Mapping[str, Any]) -> Hook:
    intent, method, examples = str(said["intent"]), str(said["method"]), said["examples"]
    if not 0 < len(intent) <= limits.STATE_NAME_CHARS_MAX:
        raise ValueError(f"an intent has 1 to {limits.STATE_NAME_CHARS_MAX} characters")
    if len(examples) > limits.PLUGIN_EXAMPLES_MAX:
        raise ValueError(f"a hook has at most {limits.PLUGIN_EXAMPLES_MAX} examples")
    told = tuple(str(it)[: limits.INTENT_CHARS_MAX] for it in examples)
    return Hook(intent, method, int(said["priority"]), told)


def _version_of(folder: Path, config: Mapping[str, Any]) -> str:
    """Return the digest of the folder's files and the configuration, in hexadecimal digits."""
    digest = hashlib.sha256(orjson.dumps(config, option=orjson.OPT_SORT_KEYS))
    for path in sorted(it for it in folder.rglob("*") if it.is_file()):
        if "__pycache__" in path.parts:
            continue
        content = hashlib.sha256(path.read_bytes()).digest()
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + content)
    return digest.hexdigest()
