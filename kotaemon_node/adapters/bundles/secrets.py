"""Secrets in the configuration of plugins: named there, kept elsewhere, read where it is used."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from kotaemon_node.domain import acting_limits as bounds

_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}", re.ASCII)
ENVIRONMENT_PREFIX: Final = "PLUGIN_SECRET_"
"""Other variables are the pod's own, and no plugin's business."""


class PluginSecrets:
    """Looks up ``{"secret": name}``: a file of the folder, else ``PLUGIN_SECRET_<NAME>``."""

    def __init__(
        self, folder: Path | None, *, environment: Callable[[str], str | None] = lambda name: None
    ) -> None:
        self._folder = folder
        self._environment = environment

    def filled(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the configuration with every secret in its place.

        Raises ``ValueError``, which tells names and no secret, where one cannot be found.
        """
        return {key: self._value(value) for key, value in config.items()}

    def mark(self, config: Mapping[str, Any]) -> str:
        """Return a digest of the secrets that it names as they are now; "" where it names none."""
        names = sorted(set(_names(config)))
        if not names:
            return ""
        told = json.dumps([[name, self._found(name) if _legal(name) else None] for name in names])
        return hashlib.sha256(told.encode()).hexdigest()

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(it) for it in value]
        if not isinstance(value, Mapping):
            return value
        name = _named(value)
        if name is None:
            return {key: self._value(it) for key, it in value.items()}
        if not _legal(name):
            raise ValueError(f"{name!r:.100} is no name for a secret")
        found = self._found(name)
        if found is None:
            raise ValueError(
                f"there is no secret {name}: neither a file in PLUGIN_SECRETS_DIR nor the variable"
                f" {variable_of(name)}"
            )
        return found

    def _found(self, name: str) -> str | None:
        if self._folder is not None:
            try:
                with (self._folder / name).open("rb") as file:
                    raw = file.read(bounds.PLUGIN_SECRET_BYTES_MAX + 1)
            except OSError:
                pass  # not there, or not for us: perhaps the environment has it
            else:
                # What is too long is cut, and what is no text replaced: it will not let anybody in.
                text = raw[: bounds.PLUGIN_SECRET_BYTES_MAX].decode("utf-8", "replace")
                return text.rstrip("\r\n")
        return self._environment(variable_of(name))


def _legal(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def variable_of(name: str) -> str:
    """Return the environment variable of a secret."""
    return ENVIRONMENT_PREFIX + re.sub(r"[^A-Za-z0-9]", "_", name).upper()


def _named(value: Mapping[str, Any]) -> str | None:
    """Return the name of the secret that a value stands for."""
    name = value.get("secret")
    return name if isinstance(name, str) and len(value) == 1 else None


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for it in value:
            yield from _names(it)
    elif isinstance(value, Mapping):
        name = _named(value)
        if name is not None:
            yield name
        else:
            for it in value.values():
                yield from _names(it)


def secret_values(config: Mapping[str, Any], filled: Mapping[str, Any]) -> Iterator[str]:
    """Yield what ``filled`` has in the places where ``config``, of which it was made, names one."""
    for key, value in config.items():
        yield from _filled_in(value, filled[key])


def _filled_in(value: Any, found: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one, other in zip(value, found, strict=True):
            yield from _filled_in(one, other)
    elif isinstance(value, Mapping):
        if _named(value) is None:
            yield from secret_values(value, found)
        else:
            yield found
