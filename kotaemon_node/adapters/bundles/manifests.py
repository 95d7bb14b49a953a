"""The manifest in a plugin's files, read from YAML and checked."""

from collections.abc import Mapping
from typing import Any

import yaml

from kotaemon_node.domain.errors import Invalid
from kotaemon_node.domain.plugin_bundle import manifest_text, plugin_name_of
from kotaemon_node.domain.plugin_manifest import Manifest, checked_manifest


def manifest_of(files: Mapping[str, bytes]) -> Manifest:
    """Return the manifest of a plugin's files (path → content). Raises ``Invalid``."""
    name = plugin_name_of(files)
    try:
        said: Any = yaml.safe_load(manifest_text(files))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        raise Invalid(f"{name}.yaml is no YAML{line}") from None
    if said is not None and not isinstance(said, Mapping):
        raise Invalid(f"{name}.yaml must be an object of fields")
    return checked_manifest(name, said)


def check_source(files: Mapping[str, bytes]) -> None:
    """Raise ``Invalid`` where a module of the plugin is no Python, with file and line."""
    for path, content in files.items():
        if not path.endswith(".py"):
            continue
        try:
            compile(content, path, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise Invalid(f"{path}, line {error.lineno}: {error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise Invalid(f"{path} is no Python: {error}") from None
