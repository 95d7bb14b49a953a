"""Plugins as people keep them: files and folders of a plugin folder."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kotaemon_node.domain import acting_limits as bounds
from kotaemon_node.domain.errors import Invalid, NodeError, TooLarge
from kotaemon_node.domain.plugin_bundle import MANIFEST_SUFFIX
from kotaemon_node.domain.plugin_releases import PLUGIN_NAME

_MODULE: Final = ".py"
_PACKAGE: Final = "__init__.py"
_CACHE: Final = "__pycache__"
_ENTRIES_MAX: Final = 4 * bounds.PLUGINS_MAX  # a plugin and its manifest, and as much that is none


@dataclass(frozen=True, slots=True)
class PluginFiles:
    """A plugin as it lies there."""

    name: str
    files: Mapping[str, bytes]
    """Path → content; empty where ``problem`` says why they could not be read."""
    problem: str = ""


def read_plugins(folder: Path) -> Mapping[str, PluginFiles]:
    """Return the plugins of a folder by name; a broken one tells its problem.

    Hidden entries, and those that begin with an underscore, are left alone. Raises ``OSError``
    where the folder itself cannot be read.
    """
    names = sorted(entry for entry in os.listdir(folder) if not entry.startswith((".", "_")))
    found: dict[str, PluginFiles] = {}
    for entry in names[:_ENTRIES_MAX]:
        path = folder / entry
        name = entry.removesuffix(_MODULE) if entry.endswith(_MODULE) else entry
        is_plugin = entry.endswith(_MODULE) if path.is_file() else (path / _PACKAGE).is_file()
        if not is_plugin:
            continue
        if name in found:
            found[name] = PluginFiles(name, {}, f"there are both {name}.py and a folder {name}")
        else:
            found[name] = _read(path, name)
    return found


def read_plugin(path: Path) -> PluginFiles:
    """Return the plugin whose module, package or manifest ``path`` is.

    Raises ``Invalid`` or ``TooLarge`` where there is none that can be read.
    """
    name = path.name.removesuffix(_MODULE).removesuffix(MANIFEST_SUFFIX)
    beside = path.parent / f"{name}{_MODULE}"
    place = path if path.is_dir() else beside if beside.is_file() else path.parent / name
    if not place.exists():
        raise Invalid(f"{path} is no plugin: neither a .py file nor a folder with __init__.py")
    return PluginFiles(name, _files_of(place, name))


def _read(path: Path, name: str) -> PluginFiles:
    try:
        return PluginFiles(name, _files_of(path, name))
    except OSError as error:
        return PluginFiles(name, {}, f"it cannot be read: {error.strerror or error}")
    except NodeError as error:
        return PluginFiles(name, {}, str(error))


def _files_of(path: Path, name: str) -> Mapping[str, bytes]:
    if not PLUGIN_NAME.fullmatch(name):
        raise Invalid(f"{name!r:.100} is no name for a plugin: letters, digits, _ and -")
    root = path.parent.resolve()
    files: dict[str, bytes] = {}
    left = bounds.BUNDLE_UNPACKED_BYTES_MAX
    for relative, file in _walk(path, name):
        # A mounted ConfigMap is made of links; none may lead out of the plugin folder.
        if not file.resolve().is_relative_to(root):
            raise Invalid(f"{relative} leads out of the plugin folder")
        with file.open("rb") as opened:
            content = opened.read(left + 1)
        left -= len(content)
        if left < 0:
            raise TooLarge(f"{name} has more than {bounds.BUNDLE_UNPACKED_BYTES_MAX} bytes")
        files[relative] = content
        if len(files) > bounds.BUNDLE_FILES_MAX:
            raise TooLarge(f"{name} has more than {bounds.BUNDLE_FILES_MAX} files")
    return files


def _walk(path: Path, name: str) -> Iterator[tuple[str, Path]]:
    manifest = path.parent / (name + MANIFEST_SUFFIX)
    if manifest.is_file():
        yield manifest.name, manifest
    if path.is_file():
        yield path.name, path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(it for it in folders if it != _CACHE and not it.startswith("."))
        for file in sorted(it for it in names if not it.startswith(".")):
            place = Path(folder) / file
            if place.is_file() and not file.endswith((".pyc", "~", ".swp")):
                yield place.relative_to(path.parent).as_posix(), place
