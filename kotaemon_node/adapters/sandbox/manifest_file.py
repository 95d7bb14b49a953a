"""Reads the manifest of a plugin: YAML, whose text is not believed."""

from collections.abc import Iterable
from typing import Any

import yaml

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.errors import Invalid, TooLarge
from kotaemon_node.domain.nesting import deeper_than
from kotaemon_node.domain.plugin_manifest import Manifest, checked_manifest

_DEPTH_MAX = 16


def read_manifest(name: str, text: str) -> Manifest:
    """Return the manifest that ``text`` says; "" declares nothing. Raises as below."""
    return checked_manifest(name, manifest_fields(name, text))


def manifest_fields(name: str, text: str) -> dict[str, Any]:
    """Return the fields as they stand in the text, unchecked. Raises ``Invalid``, ``TooLarge``."""
    if len(text.encode("utf-8", "replace")) > limits.PLUGIN_MANIFEST_BYTES_MAX:
        raise TooLarge(f"{name}.yaml has more than {limits.PLUGIN_MANIFEST_BYTES_MAX} bytes")
    try:
        # An alias makes a large value of a small text.
        if any(isinstance(it, yaml.AliasEvent) for it in yaml.parse(text, yaml.SafeLoader)):
            raise Invalid(f"{name}.yaml: aliases are not read")
        fields = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Invalid(f"{name}.yaml is neither YAML nor JSON: {error}") from None
    if fields is None:
        return {}
    if not isinstance(fields, dict) or deeper_than(fields, _DEPTH_MAX):
        raise Invalid(f"{name}.yaml must be an object of fields")
    for key, value in fields.items():
        if problem := _foreign(value, f"{key!s:.64}"):
            raise Invalid(f"{name}.yaml: {problem}")
    return fields


def _foreign(value: Any, where: str) -> str | None:
    """Say what of a value JSON cannot say: YAML knows dates, sets and bytes, too."""
    inner: Iterable[tuple[str, Any]]
    if isinstance(value, dict):
        if not all(isinstance(it, str) for it in value):
            return f"{where} must have texts as its keys"
        inner = value.items()
    elif isinstance(value, list):
        inner = ((str(number), it) for number, it in enumerate(value))
    elif value is None or isinstance(value, str | int | float):
        return None
    else:
        return f"{where} is no JSON value but a {type(value).__name__}; a text stands in quotes"
    return next((it for key, part in inner if (it := _foreign(part, f"{where}.{key:.64}"))), None)
