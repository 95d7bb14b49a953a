"""Do the pods agree on what they serve, and since when? A pure function of their reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kotaemon_node.ports.knowledge import PodReport


@dataclass(frozen=True, slots=True)
class KnowledgeAgreement:
    """One knowledge base over all pods."""

    kb: str
    generation: int
    """The newest that any pod serves."""
    digest: str
    converged: bool
    since: float | None
    behind: Sequence[str]
    """Names of the pods that serve another generation, or none."""


@dataclass(frozen=True, slots=True)
class PluginAgreement:
    """One plugin over all pods. ``versions``: pod to what it has of it, null where it has none.

    ``next``: the same of the version that is rolled out; a pod that knows of none is not in it.
    """

    plugin: str
    converged: bool
    versions: Mapping[str, str | None]
    next: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class TenantAgreement:
    """One knowledge base of a tenant over the pods that have it open.

    ``converged``: they serve the same generation; ``behind`` are those that serve an older one.
    """

    tenant: str
    kb: str
    generation: int
    digest: str
    converged: bool
    pods: Sequence[str]
    behind: Sequence[str]


@dataclass(frozen=True, slots=True)
class ClusterForm:
    """Who lives and what they serve.

    ``converged``: every pod serves the same generation (number and digest) of each knowledge base.
    ``since``: when that became so, in seconds since 1970; while they differ, when the first pod
    went ahead. Null where the pods do not say since when they serve what they serve.
    """

    pods: Sequence[Mapping[str, Any]]
    converged: bool
    since: float | None
    knowledge: Sequence[KnowledgeAgreement]
    plugins: Sequence[PluginAgreement] = ()
    """Whether all pods have the same versions of each plugin."""
    tenants: Sequence[TenantAgreement] = ()
    """Of tenants besides ``default``; no pod has to have them open: they count for nothing else."""


@dataclass(frozen=True, slots=True)
class _Serving:
    pod: str
    generation: int
    digest: str
    since: float | None


def cluster_form(pods: Sequence[PodReport]) -> ClusterForm:
    """Judge the reports. No pod at all is not agreement; guests serve nothing."""
    pods = [pod for pod in pods if not pod.get("guest")]
    kbs = sorted({kb for pod in pods for kb in _generations(pod)})
    agreements = [_agreement(kb, pods) for kb in kbs]
    converged = bool(pods) and all(row.converged for row in agreements)
    moments = [row.since for row in agreements if row.converged == converged]
    return ClusterForm(
        pods=pods,
        converged=converged,
        since=_combined(moments, latest=converged),
        knowledge=agreements,
        plugins=_plugins(pods),
        tenants=_tenants(pods),
    )


def _tenants(pods: Sequence[PodReport]) -> Sequence[TenantAgreement]:
    serving: dict[tuple[str, str], list[_Serving]] = {}
    for pod in pods:
        for tenant, kbs in _rows(pod, "tenants").items():
            for kb in kbs if isinstance(kbs, Mapping) else ():
                row = _served(pod, kbs[kb])
                if row is not None:
                    serving.setdefault((tenant, kb), []).append(row)
    return [_tenant(tenant, kb, rows) for (tenant, kb), rows in sorted(serving.items())]


def _tenant(tenant: str, kb: str, serving: Sequence[_Serving]) -> TenantAgreement:
    newest = max(serving, key=_identity)
    behind = [row.pod for row in serving if _identity(row) != _identity(newest)]
    pods = [row.pod for row in serving]
    return TenantAgreement(tenant, kb, newest.generation, newest.digest, not behind, pods, behind)


def _plugins(pods: Sequence[PodReport]) -> Sequence[PluginAgreement]:
    said = {str(pod.get("name", "")): _rows(pod, "plugins") for pod in pods}
    return [
        _agreed(name, {pod: rows.get(name) for pod, rows in said.items()})
        for name in sorted({name for rows in said.values() for name in rows})
    ]


def _agreed(name: str, rows: Mapping[str, Any]) -> PluginAgreement:
    fields = {pod: row if isinstance(row, Mapping) else {} for pod, row in rows.items()}
    versions = {pod: row.get("version") for pod, row in fields.items()}
    following = {pod: row["next"] for pod, row in fields.items() if "next" in row}
    same = len({(row.get("version"), row.get("next")) for row in fields.values()}) == 1
    troubled = any("problem" in row for row in fields.values())
    return PluginAgreement(name, same and not troubled, versions, following)


def _agreement(kb: str, pods: Sequence[PodReport]) -> KnowledgeAgreement:
    serving = [row for pod in pods if (row := _serving(kb, pod)) is not None]
    newest = max(serving, key=lambda row: (row.generation, row.digest))
    ahead = [row for row in serving if (row.generation, row.digest) == _identity(newest)]
    abreast = {row.pod for row in ahead}
    behind = [name for pod in pods if (name := str(pod.get("name", ""))) not in abreast]
    return KnowledgeAgreement(
        kb=kb,
        generation=newest.generation,
        digest=newest.digest,
        converged=not behind,
        since=_combined([row.since for row in ahead], latest=not behind),
        behind=behind,
    )


def _identity(row: _Serving) -> tuple[int, str]:
    return row.generation, row.digest


def _combined(moments: Sequence[float | None], *, latest: bool) -> float | None:
    """Agreement is as old as the last pod to join it, disagreement as the first to leave."""
    known = [moment for moment in moments if moment is not None]
    if not known or len(known) < len(moments):
        return None
    return max(known) if latest else min(known)


def _generations(pod: PodReport) -> Mapping[str, Any]:
    return _rows(pod, "generations")


def _rows(pod: PodReport, field: str) -> Mapping[str, Any]:
    rows = pod.get(field)
    return rows if isinstance(rows, Mapping) else {}


def _serving(kb: str, pod: PodReport) -> _Serving | None:
    return _served(pod, _generations(pod).get(kb))


def _served(pod: PodReport, row: object) -> _Serving | None:
    if not isinstance(row, Mapping):
        return None
    since = row.get("since")
    return _Serving(
        pod=str(pod.get("name", "")),
        generation=int(row.get("generation", 0)),
        digest=str(row.get("digest", "")),
        since=float(since) if isinstance(since, int | float) else None,
    )
