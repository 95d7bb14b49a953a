"""The quick copy of what the artifact store says: which generation is current."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from kotaemon_node.domain.knowledge import GenerationRef


class GenerationPointer(Protocol):
    """Current generation per knowledge base. Can be lost and rebuilt from the artifact store."""

    def current(self, tenant: str) -> Mapping[str, GenerationRef]:
        """Return knowledge base to current generation. A missing one means: keep yours."""
        ...

    def publish(self, tenant: str, ref: GenerationRef) -> bool:
        """Point to ``ref`` when it is newer than what is pointed to, else return False."""
        ...


class Presence(Protocol):
    """Which pods live, judged by heartbeats that the serving loop itself sends."""

    def beat(self, pod: "PodReport", *, ttl_s: float) -> None:
        """Say that this pod lives, for ``ttl_s`` seconds."""
        ...

    def leave(self, incarnation: str) -> None:
        """Say that this pod is gone."""
        ...

    def pods(self) -> Sequence["PodReport"]:
        """Return the pods that live, by name. Costs a row of each: not for what every turn does."""
        ...

    def pod(self, incarnation: str) -> "PodReport | None":
        """Return what one pod said last; None where no heartbeat of it stands."""
        ...


class PodReport(dict[str, object]):
    """What a pod says of itself: ``name, incarnation, address, pid, started_at, ready, reasons,

    running_turns, generations`` ({kb: {generation, digest}}), ``version``. A JSON object. ``able``:
    nothing but newer knowledge of other pods keeps it from being ready. ``store``: its heartbeats
    reach the session store. ``vector_store``: why it is not asked now, "" where it is or none is
    set. ``behind``: newer generations that others serve, {kb: generation}. ``plugins``: what it has
    of each, {plugin: {version, next, problem …}}. ``tenants``: the same as ``generations``,
    without ``since``, of tenants besides ``default`` that are open here, by tenant;
    ``tenants_open``: how many are, of which a hundred are told. ``settings``: equal where the
    settings are that answers depend on. ``taken_over``: turns of other pods that it went on with
    since it started. ``guest``: a program that runs turns of its own and serves nobody.
    """


class Leadership(Protocol):
    """At most one coordinator leads; a fence tells leaders apart."""

    def acquire(self, holder: str, *, ttl_s: float) -> int | None:
        """Take or renew the lead; return its fence, or None while another holds it."""
        ...

    def release(self, holder: str) -> None:
        """Give the lead up, when ``holder`` has it."""
        ...
