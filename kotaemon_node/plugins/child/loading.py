"""Finds the plugin in its folder, makes it, and says what it is."""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from kotaemon_node.plugins.contract import BasePlugin, SharedStorage, hooks_of
from kotaemon_node.plugins.schema import schema_of


class NoPlugin(Exception):
    """What was found is no plugin, and why."""


def load(
    folder: Path, name: str, config: Mapping[str, Any], storage: SharedStorage
) -> tuple[BasePlugin, dict[str, Any]]:
    """Return the plugin, set up, and its description.

    Raises ``NoPlugin``, and whatever the plugin's own code does.
    """
    sys.path.insert(0, str(folder))  # a plugin may bring modules of its own
    plugin = _class_of(_module_of(folder, name), name)()
    plugin.config, plugin.shared_storage = config, storage
    plugin.setup(config, storage)
    return plugin, described(plugin)


def described(plugin: BasePlugin) -> dict[str, Any]:
    """Return what a plugin says of itself, as a JSON object."""
    run = getattr(plugin, "run", None)
    return {
        "description": str(plugin.description),
        "parameters": schema_of(plugin.parameters, run) if run is not None else {},
        "hooks": [
            {
                "intent": str(hook.intent),
                "method": method,
                "priority": int(hook.priority),
                "examples": [str(it) for it in hook.examples],
            }
            for method, hook in hooks_of(type(plugin))
        ],
        "runs": run is not None,
        "looks_up": hasattr(plugin, "lookup"),
    }


def _module_of(folder: Path, name: str) -> ModuleType:
    places = [folder / f"{name}.py", folder / name / "__init__.py"]
    place = next((it for it in places if it.is_file()), None)
    if place is None:
        raise NoPlugin(f"there is neither {name}.py nor {name}/__init__.py")
    inner = [str(place.parent)] if place.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, place, submodule_search_locations=inner)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _class_of(module: ModuleType, name: str) -> type[BasePlugin]:
    found = {
        it
        for it in vars(module).values()
        if isinstance(it, type) and issubclass(it, BasePlugin) and it is not BasePlugin
    }
    named = [it for it in found if it.name == name]
    if len(named) == 1:
        return named[0]
    if named:
        raise NoPlugin(f"{len(named)} classes have the name {name}")
    names = ", ".join(sorted(repr(it.name) for it in found)) or "none"
    raise NoPlugin(f'no subclass of BasePlugin has name = "{name}"; found: {names}')
