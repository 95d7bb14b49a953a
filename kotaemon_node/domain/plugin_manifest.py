"""The manifest of a plugin, ``<name>.yaml``: what it may do and which limits it has.

effects: idempotent            # read | idempotent | once; may be left out where nothing is declared
hosts:                         # where it may connect to; nowhere else
  - shop.example:443
  - {host: "orders.internal:8080", private: true}
storage: ["orders:*", last_sync]
config: {url: "https://shop.example/api"}
config_schema:                 # what configurations may be, as a JSON schema of an object
  properties: {url: {type: string}}
timeout_s: 10
horizon_s: 60
retries: 0
slow: false
confirm: true
limits: {memory_mb: 256, cpu_s: 10, files: 64}
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar, get_args

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.arguments import problem_of, problem_of_schema
from kotaemon_node.domain.errors import Invalid
from kotaemon_node.domain.limits import TOOL_TIMEOUT_S_DEFAULT, TOOL_TIMEOUT_S_MAX

PluginEffects = Literal["read", "idempotent", "once"]

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_HOST: Final = re.compile(
    r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})):(\d{1,5})"
)
_STORAGE: Final = re.compile(r"[A-Za-z0-9_.:@-]{1,120}\*?", re.ASCII)
_STORAGE_KEY: Final = re.compile(r"[A-Za-z0-9_.:@-]{1,128}", re.ASCII)
_OURS: Final = ("user_id:", "context:")
Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class HostRule:
    """A place where a plugin may connect to."""

    name: str
    """In small letters; an address stands for itself."""
    port: int
    private: bool = False
    """Whether it may be an address of this machine or of a private network."""


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What one process of a plugin may use."""

    memory_mb: int = limits.PLUGIN_MEMORY_MB_DEFAULT
    """Of addresses, libraries among them."""
    cpu_s: int = limits.PLUGIN_CPU_S_DEFAULT
    """In one call."""
    files: int = limits.PLUGIN_FILES_DEFAULT
    """Open at once, connections among them."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands in the file, checked."""

    name: str
    effects: PluginEffects = "read"
    hosts: tuple[HostRule, ...] = ()
    storage: tuple[str, ...] = ()
    """Keys; with ``*`` at the end all that begin so."""
    config: Mapping[str, Any] = field(default_factory=dict)
    config_schema: Mapping[str, Any] = field(default_factory=dict)
    """What a configuration has to be; empty: whatever it is."""
    timeout_s: float = TOOL_TIMEOUT_S_DEFAULT
    horizon_s: float = limits.TOOL_HORIZON_S_DEFAULT
    retries: int = 0
    slow: bool = False
    confirm: bool = True
    limits: ProcessLimits = ProcessLimits()

    def rule_for(self, host: str, port: int) -> HostRule | None:
        """Return the entry that allows a connection, None where none does."""
        wanted = host.lower().rstrip(".")
        for rule in self.hosts:
            if (rule.name, rule.port) == (wanted, port):
                return rule
        return None

    def problem_of(self, config: Mapping[str, Any]) -> str | None:
        """Say what is wrong with a configuration by ``config_schema``, None for a good one."""
        return problem_of(config, self.config_schema) if self.config_schema else None

    def may_keep(self, key: str) -> bool:
        """Tell whether ``key`` is one that the plugin declares."""
        if not _STORAGE_KEY.fullmatch(key) or key.startswith(_OURS):
            return False
        return any(
            key.startswith(it[:-1]) if it.endswith("*") else key == it for it in self.storage
        )


def checked_manifest(name: str, said: Mapping[str, Any] | None) -> Manifest:
    """Return the manifest of the plugin ``name``; ``None`` and an empty file declare nothing.

    Raises ``Invalid``, whose message says which field is wrong and what it may be.
    """
    if not NAME.fullmatch(name):
        raise Invalid("the name of a plugin has 1 to 64 letters, digits, _ and -")
    fields = _Fields(name, said or {})
    hosts = tuple(_host(fields, it) for it in fields.list("hosts", limits.PLUGIN_HOSTS_MAX))
    storage = tuple(_storage(fields, it) for it in fields.list("storage", limits.PLUGIN_KEYS_MAX))
    slow = fields.of("slow", bool, False)
    longest_s = limits.PLUGIN_SLOW_TIMEOUT_S_MAX if slow else TOOL_TIMEOUT_S_MAX
    effects = _effects(fields, declared=bool(hosts or storage))
    retries = fields.whole("retries", 0, 0, limits.TOOL_RETRIES_MAX)
    if retries and effects == "once":
        raise fields.wrong("retries", "must be 0 where effects is once: it may act twice")
    manifest = Manifest(
        name,
        effects=effects,
        hosts=hosts,
        storage=storage,
        config=fields.object("config"),
        config_schema=_schema(fields),
        timeout_s=fields.number("timeout_s", TOOL_TIMEOUT_S_DEFAULT, 0.1, longest_s),
        horizon_s=fields.number(
            "horizon_s", limits.TOOL_HORIZON_S_DEFAULT, 0.0, limits.TOOL_HORIZON_S_MAX
        ),
        retries=retries,
        slow=slow,
        confirm=fields.of("confirm", bool, True),
        limits=_limits(name, fields.object("limits")),
    )
    fields.nothing_else()
    return manifest


class _Fields:
    """The fields of an object, each asked for once."""

    def __init__(self, name: str, said: Any, inside: str = "") -> None:
        self._file = f"{name}.yaml"
        if not isinstance(said, Mapping):
            raise Invalid(f"{self._file}: {inside or 'it'} must be an object of fields")
        self._said = dict(said)
        self._inside = f"{inside}." if inside else ""
        self._known: list[str] = []

    def wrong(self, key: str, why: str) -> Invalid:
        """Return the error about a field."""
        return Invalid(f"{self._file}: {self._inside}{key} {why}")

    def take(self, key: str, default: Any) -> Any:
        """Return what is said, whatever it is; nothing said (also null) is the default."""
        self._known.append(key)
        value = self._said.pop(key, None)
        return default if value is None else value

    def of(self, key: str, kind: type[Kind], default: Kind) -> Kind:
        """Return a value of a type."""
        value = self.take(key, default)
        if not isinstance(value, kind):
            raise self.wrong(key, f"must be {_SPOKEN[kind]}")
        return value

    def object(self, key: str) -> Mapping[str, Any]:
        """Return an object, {} where none is said."""
        value: Mapping[str, Any] = self.of(key, dict, {})
        if not all(isinstance(it, str) for it in value):
            raise self.wrong(key, "must have texts as its keys")
        return value

    def list(self, key: str, most: int) -> Sequence[Any]:
        """Return a list, () where none is said."""
        value = self.take(key, [])
        if not isinstance(value, list) or len(value) > most:
            raise self.wrong(key, f"must be a list of at most {most}")
        return value

    def number(self, key: str, default: float, least: float, most: float) -> float:
        """Return a number within bounds."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, "must be a number")
        if not least <= value <= most:
            raise self.wrong(key, f"must be {least:g} to {most:g}")
        return float(value)

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        """Return a whole number within bounds."""
        value = self.number(key, default, least, most)
        if not value.is_integer():
            raise self.wrong(key, "must be a whole number")
        return int(value)

    def nothing_else(self) -> None:
        """Raise ``Invalid`` where a field is left that nobody asked for."""
        for key in self._said:
            known = ", ".join(sorted(self._known))
            raise self.wrong(str(key)[:64], f"is no field; the fields are: {known}")


_SPOKEN: Final[Mapping[type, str]] = {
    bool: "true or false",
    dict: "an object of fields",
    str: "a text",
}


def _effects(fields: _Fields, *, declared: bool) -> PluginEffects:
    said = fields.take("effects", None)
    if said is None:
        if declared:
            why = "must be said where hosts or storage are: read, idempotent or once"
            raise fields.wrong("effects", why)
        return "read"  # what reaches nothing changes nothing
    for effects in get_args(PluginEffects):
        if said == effects:
            known: PluginEffects = effects
            return known
    raise fields.wrong("effects", "must be read, idempotent or once")


def _host(fields: _Fields, said: Any) -> HostRule:
    private = False
    if isinstance(said, Mapping):
        inner = dict(said)
        private, said = inner.pop("private", False), inner.pop("host", None)
        if inner or not isinstance(private, bool):
            raise fields.wrong("hosts", 'may be {host: "name:port", private: true}, no more')
    found = _HOST.fullmatch(said) if isinstance(said, str) else None
    if found is None or not 0 < int(found[2]) <= 65_535:
        why = f"must be name:port each, for example shop.example:443; not {said!r:.100}"
        raise fields.wrong("hosts", why)
    return HostRule(found[1].strip("[]").lower().rstrip("."), int(found[2]), private)


def _storage(fields: _Fields, said: Any) -> str:
    if not isinstance(said, str) or not _STORAGE.fullmatch(said):
        why = "must be keys of letters, digits and _.:@-, which may end in *"
        raise fields.wrong("storage", f"{why}; not {said!r:.100}")
    if said.startswith(_OURS):
        raise fields.wrong("storage", f"{said} needs no entry: it may be read of its own session")
    return said


def _schema(fields: _Fields) -> Mapping[str, Any]:
    schema = fields.object("config_schema")
    parts = schema.get("properties", {}), schema.get("required", [])
    if not (isinstance(parts[0], Mapping) and isinstance(parts[1], list)):
        raise fields.wrong("config_schema", "must be the JSON schema of an object")
    if problem := problem_of_schema(schema):
        raise fields.wrong("config_schema", f"is no JSON schema: {problem}")
    return schema


def _limits(name: str, said: Mapping[str, Any]) -> ProcessLimits:
    fields = _Fields(name, said, "limits")
    found = ProcessLimits(
        memory_mb=fields.whole(
            "memory_mb",
            limits.PLUGIN_MEMORY_MB_DEFAULT,
            limits.PLUGIN_MEMORY_MB_MIN,
            limits.PLUGIN_MEMORY_MB_MAX,
        ),
        cpu_s=fields.whole("cpu_s", limits.PLUGIN_CPU_S_DEFAULT, 1, limits.PLUGIN_CPU_S_MAX),
        files=fields.whole(
            "files", limits.PLUGIN_FILES_DEFAULT, limits.PLUGIN_FILES_MIN, limits.PLUGIN_FILES_MAX
        ),
    )
    fields.nothing_else()
    return found
