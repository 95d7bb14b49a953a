"""What the routes of plugins take and give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from kotaemon_node.api.fields import Body
from kotaemon_node.domain.acting_limits import PLUGIN_TENANTS_MAX
from kotaemon_node.domain.ids import ID_PATTERN
from kotaemon_node.domain.plugin_manifest import Manifest
from kotaemon_node.domain.plugin_releases import PluginRow, Release
from kotaemon_node.ports.knowledge import PodReport

Tenants = Annotated[
    list[Annotated[str, Field(pattern=rf"^(?:{ID_PATTERN}|\*)$")]],
    Field(max_length=PLUGIN_TENANTS_MAX),
]
Percent = Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)]


class PluginBody(Body):
    """``PUT /v1/plugins/{name}``; what is left out stays as it is."""

    enabled: bool | None = None
    config: dict[str, Any] | None = None
    """Over that of the manifest; ``{"secret": name}`` stands for a secret that pods look up."""
    rollout_percent: Percent | None = None
    """Share of the sessions that gets a new version; 100 promotes the one being rolled out."""
    tenants: Tenants | None = None
    """Whose sessions are offered it: `default` alone until it is said; `*` stands for all."""


PUSH_FORM: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["bundle", "signature"],
    "properties": {
        "bundle": {"type": "string", "contentMediaType": "application/zip"},
        "signature": {"type": "string", "contentMediaType": "text/plain"},
        "enabled": {"type": "boolean"},
        "rollout_percent": {"type": "number", "minimum": 0, "maximum": 100},
        "config": {"type": "object"},
        "tenants": {"type": "array", "items": {"type": "string"}},
    },
}
"""The form of ``POST /v1/plugins``."""


@dataclass(frozen=True, slots=True)
class ReleaseForm:
    """A version: a bundle (sha256) and a configuration."""

    version: str
    bundle: str
    signed_by: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PluginOnPod:
    """What one pod has of a plugin; ``problem``: why it is not what is wanted."""

    pod: str
    version: str | None
    next: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class PluginForm:
    """What is wanted of a plugin, and what the pods have.

    ``converged``: every living pod has the versions that are wanted. ``problem``: why the newest
    file of the plugin folder is not in use. ``breaker``: open while it is asked by no pod, or tried
    by one, because it failed in a row. ``config_schema`` and ``config_default`` are those of the
    newest version's manifest, empty where it says none or cannot be read.
    """

    name: str
    enabled: bool
    rollout_percent: float
    tenants: Sequence[str]
    stable: ReleaseForm | None
    next: ReleaseForm | None
    previous: ReleaseForm | None
    origin: str
    problem: str | None
    changed_by: str
    changed_at: float
    converged: bool
    breaker: Literal["open", "closed"]
    config_schema: Mapping[str, Any]
    config_default: Mapping[str, Any]
    pods: Sequence[PluginOnPod]


@dataclass(frozen=True, slots=True)
class PluginList:
    """All plugins by name; ``revision`` rises with each change."""

    revision: int
    plugins: Sequence[PluginForm]


def plugin_form(
    row: PluginRow,
    pods: Sequence[PodReport],
    *,
    manifest: Manifest | None = None,
    broken: bool = False,
) -> PluginForm:
    """Return a row beside what the pods report, its manifest, and whether its breaker is open."""
    there = [_on_pod(row.name, pod) for pod in pods]
    wanted = (_version(row.stable), _version(row.next)) if row.enabled else (None, None)
    return PluginForm(
        name=row.name,
        enabled=row.enabled,
        rollout_percent=row.rollout_percent,
        tenants=row.tenants,
        stable=_release(row.stable),
        next=_release(row.next),
        previous=_release(row.previous),
        origin=row.origin,
        problem=row.problem or None,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
        converged=bool(there) and all((it.version, it.next) == wanted for it in there),
        breaker="open" if broken else "closed",
        config_schema=manifest.config_schema if manifest else {},
        config_default=manifest.config if manifest else {},
        pods=there,
    )


def _on_pod(name: str, pod: PodReport) -> PluginOnPod:
    plugins = pod.get("plugins")
    said = plugins.get(name) if isinstance(plugins, Mapping) else None
    fields: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
    return PluginOnPod(
        pod=str(pod.get("name", "")),
        version=fields.get("version"),
        next=fields.get("next"),
        problem=fields.get("problem"),
    )


def _version(release: Release | None) -> str | None:
    return None if release is None else release.version


def _release(release: Release | None) -> ReleaseForm | None:
    if release is None:
        return None
    return ReleaseForm(release.version, release.bundle, release.key_id, release.config)
