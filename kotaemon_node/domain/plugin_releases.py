"""Which version of a plugin is wanted: what an operator says, and whom it reaches.

| word       | means                                                                          |
|------------|--------------------------------------------------------------------------------|
| release    | a bundle and a configuration: what a version is made of                        |
| stable     | the release that sessions get                                                  |
| next       | one that ``rollout_percent`` of the sessions get instead, until it is promoted |
| previous   | the stable one before; in use where the stable one does not start              |

Transitions are pure and may be repeated: the same change again changes nothing.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from kotaemon_node.domain.errors import Invalid
from kotaemon_node.domain.ids import DEFAULT_TENANT, checked_id

PLUGIN_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_VERSION_DIGITS: Final = 12
_SHARES: Final = 10_000  # a percentage has two decimals

EVERY_TENANT: Final = "*"

Origin = Literal["folder", "pushed"]


@dataclass(frozen=True, slots=True)
class Release:
    """What a version of a plugin is made of."""

    bundle: str
    """sha256 (hex) of its bundle."""
    key_id: str
    """Which key has signed the bundle, and ``signature`` (hex), so that a pod can check it."""
    signature: str
    config: Mapping[str, Any] = field(default_factory=dict)
    """Over that of the manifest; a value ``{"secret": name}`` is looked up where it is loaded."""

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits: equal where bundle and configuration are."""
        canonical = json.dumps(dict(self.config), sort_keys=True, separators=(",", ":"))
        told = f"{self.bundle}\n{canonical}"
        return hashlib.sha256(told.encode()).hexdigest()[:_VERSION_DIGITS]


@dataclass(frozen=True, slots=True)
class PluginRow:
    """All that is wanted of one plugin."""

    name: str
    stable: Release | None = None
    """None: no version was good yet, or the first is being rolled out."""
    next: Release | None = None
    previous: Release | None = None
    rollout_percent: float = 100.0
    """What share of the sessions gets a new version; of 100 it replaces the stable one at once."""
    enabled: bool = True
    reloads: int = 0
    """Raised to have all pods read its secrets again."""
    origin: Origin = "pushed"
    """Where its newest bundle came from: one of the folder goes with its file."""
    taken: str = ""
    """What of the folder was taken or refused last (sha256 in hex), so that it is done once."""
    problem: str = ""
    """Why the newest file of the folder is not in use."""
    tenants: tuple[str, ...] = (DEFAULT_TENANT,)
    """Whose sessions are offered it; ``EVERY_TENANT`` stands for all."""
    changed_by: str = ""
    changed_at: float = 0.0
    """Seconds since 1970."""

    @property
    def newest(self) -> Release | None:
        """The release that was wanted last."""
        return self.next or self.stable

    def is_for(self, tenant: str) -> bool:
        """Tell whether sessions of a tenant are offered it."""
        return tenant in self.tenants or EVERY_TENANT in self.tenants

    def releases(self) -> list[Release]:
        """Return all that it names, whose bundles have to stay."""
        return [it for it in (self.stable, self.next, self.previous) if it is not None]


@dataclass(frozen=True, slots=True)
class PluginWish:
    """What somebody wants to be different of a plugin; None: as it is."""

    enabled: bool | None = None
    config: Mapping[str, Any] | None = None
    rollout_percent: float | None = None
    tenants: Sequence[str] | None = None


def with_release(row: PluginRow, release: Release) -> PluginRow:
    """Return the row after ``release`` came: in place of the stable one, or for a share first."""
    if row.stable is not None and _same(row.stable, release):
        return replace(row, next=None)  # back to what is there
    if row.next is not None and _same(row.next, release):
        return row
    if row.rollout_percent >= 100.0:
        return _promoted(row, release)
    return replace(row, next=release)


def with_signature(row: PluginRow, signed: Release) -> PluginRow:
    """Return the row with the signature of ``signed`` wherever it names the same bundle."""

    def anew(release: Release | None) -> Release | None:
        if release is None or release.bundle != signed.bundle:
            return release
        return replace(release, key_id=signed.key_id, signature=signed.signature)

    return replace(row, stable=anew(row.stable), next=anew(row.next), previous=anew(row.previous))


def with_rollout(row: PluginRow, percent: float) -> PluginRow:
    """Return the row with another share; 100 promotes what is being rolled out."""
    if not 0.0 <= percent <= 100.0:
        raise Invalid("rollout_percent must be 0 to 100")
    row = replace(row, rollout_percent=percent)
    if percent >= 100.0 and row.next is not None:
        return _promoted(row, row.next)
    return row


def with_tenants(row: PluginRow, tenants: Sequence[str]) -> PluginRow:
    """Return the row for the sessions of these tenants alone; of none is a plugin for nobody."""
    for tenant in tenants:
        if tenant != EVERY_TENANT:
            checked_id("tenants", tenant)
    return replace(row, tenants=tuple(sorted(set(tenants))))


def with_config(row: PluginRow, config: Mapping[str, Any]) -> PluginRow:
    """Return the row with a new release: the newest bundle under this configuration."""
    newest = row.newest
    if newest is None:
        raise Invalid(f"the plugin {row.name} has no version yet that could be configured")
    return with_release(row, replace(newest, config=config))


def _promoted(row: PluginRow, release: Release) -> PluginRow:
    return replace(row, stable=release, next=None, previous=row.stable or row.previous)


def _same(one: Release, other: Release) -> bool:
    """Signed anew, by another key, it is the same."""
    return one.bundle == other.bundle and one.config == other.config


def gets_next(row: PluginRow, tenant: str, session_id: str) -> bool:
    """Tell whether this session is among those that get the next version.

    Always the same for one session and share; a greater share adds sessions and takes none away.
    """
    told = f"{row.name}\n{tenant}\n{session_id}".encode()
    share = int.from_bytes(hashlib.sha256(told).digest()[:8], "big") % _SHARES
    return share < row.rollout_percent * (_SHARES / 100.0)


def row_to_json(row: PluginRow) -> str:
    """Return the row as it is stored: canonical, so that equal rows are equal texts."""
    return json.dumps(asdict(row), sort_keys=True, separators=(",", ":"))


def row_from_json(name: str, raw: str | bytes) -> PluginRow:
    """Return what ``row_to_json`` wrote, also in an older or newer version of the product.

    ``ValueError`` for what is none.
    """
    fields = json.loads(raw)
    if not isinstance(fields, dict):
        raise ValueError("the row is no JSON object")  # noqa: TRY004 - bad data, no bug
    known = {key: fields[key] for key in _DEFAULTS if key in fields and key != "name"}
    for key in ("stable", "next", "previous"):
        known[key] = _release_of(known.get(key))
    known["tenants"] = tuple(known.get("tenants", (DEFAULT_TENANT,)))
    row = PluginRow(name, **known)
    if not all(isinstance(tenant, str) for tenant in row.tenants):
        raise ValueError("a tenant of the row is no name")
    if not all(isinstance(getattr(row, key), kind) for key, kind in _KINDS.items()):
        raise ValueError("a field of the row has a wrong type")
    return row


def _release_of(fields: Any) -> Release | None:
    if fields is None:
        return None
    if not isinstance(fields, dict):
        raise ValueError("a release is no JSON object")  # noqa: TRY004 - bad data, no bug
    bundle, key_id, signature = (fields.get(it) for it in ("bundle", "key_id", "signature"))
    config = fields.get("config", {})
    if not (isinstance(bundle, str) and _DIGEST.fullmatch(bundle) and isinstance(config, dict)):
        raise ValueError("a release names no bundle")
    if not (isinstance(key_id, str) and isinstance(signature, str)):
        raise ValueError("a release is not signed")  # noqa: TRY004 - bad data, no bug
    return Release(bundle, key_id, signature, config)


_DEFAULTS: Final = asdict(PluginRow(""))
_KINDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "rollout_percent": (int, float),
    "enabled": bool,
    "reloads": int,
    "origin": str,
    "taken": str,
    "problem": str,
    "changed_by": str,
    "changed_at": (int, float),
}


def check_plugin_name(name: str) -> str:
    """Return ``name`` where a plugin may be called so, else raise ``Invalid``."""
    if not PLUGIN_NAME.fullmatch(name):
        raise Invalid("a plugin's name has 1 to 64 letters, digits, _ and -")
    return name
