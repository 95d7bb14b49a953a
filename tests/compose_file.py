"""docker compose's file as Compose reads it, for tests: anchors merged, variables replaced."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "deploy" / "compose"
FILE = FOLDER / "compose.yaml"
_VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?::?-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of ``volumes``: a named volume, or a file or folder beside the compose file."""

    source: str
    target: str
    read_only: bool

    @property
    def named(self) -> bool:
        """Whether Docker keeps it, under the name ``source``."""
        return not self.source.startswith((".", "/"))

    @property
    def path(self) -> Path:
        """The file or folder, where it is none of Docker's."""
        return (FOLDER / self.source).resolve()


def load(variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the file with these variables (``.env``), and with defaults for all others."""
    found: dict[str, Any] = _filled(raw(), dict(variables or {}))
    return found


def raw() -> dict[str, Any]:
    """Return the file with its variables; those of ``$$`` are still escaped."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
    return found


def variables_used() -> dict[str, set[str]]:
    """Return every variable of the file with the defaults it is used with."""
    used: dict[str, set[str]] = {}
    for found in _VARIABLE.finditer(FILE.read_text("utf-8")):
        if found[1]:
            used.setdefault(found[1], set()).add(found[2] or "")
    used.pop("VARIABLE", None)  # of a comment
    return used


def mounts(service: Mapping[str, Any]) -> Iterator[Mount]:
    """Yield what a service mounts, volumes and folders alike."""
    for line in service.get("volumes", []):
        source, target, *options = line.split(":")
        yield Mount(source, target, "ro" in options)


def networks(service: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the networks of a service with the names it has there beside its own."""
    told = service.get("networks", {})
    if isinstance(told, list):
        return {name: [] for name in told}
    return {name: (options or {}).get("aliases", []) for name, options in told.items()}


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(part, variables) for name, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, variables) for part in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _text_of(found, variables), value)
    return value


def _text_of(found: re.Match[str], variables: Mapping[str, str]) -> str:
    if found[0] == "$$":
        return "$"
    return variables.get(found[1]) or found[2] or ""
