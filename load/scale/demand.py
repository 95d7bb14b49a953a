"""What so many pods and turns ask of each part: arithmetic over measured costs, and nothing else.

Loads are shares of one core (1.0: all of it) or bytes a second. ``docs/explanation/scale.md`` shows
the same formulas with their numbers. Periods and bounds are the product's own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kotaemon_node.domain import limits
from kotaemon_node.domain.acting_limits import LATER_LEASE_S, LATER_LOOKERS, LATER_POLL_S
from kotaemon_node.domain.events import SessionEvents
from kotaemon_node.engine.later import COUNTED_EVERY_S
from load.scale.costs import Costs

_US: Final = 1e6
READS_PER_S: Final = 1_000.0
"""Assumed: so often a pod that is told without a pause reads the bus; then events come together."""
CHECKS_PER_S: Final = 2.0
"""Of each pod by each HAProxy (``inter 500ms``)."""


@dataclass(frozen=True, slots=True)
class Site:
    """A cluster on paper."""

    pods: float
    turns_per_s: float
    session_events: SessionEvents = "all"
    moved: float = 0.02
    """Share of the turns whose session was answered by another pod before."""
    shards: int = 1
    """Of Redis Cluster; 1: a single server."""
    tenants: int = 1
    """Among which the turns are shared."""
    bus: str = "redis"
    brokers: int = 1
    balancers: int = 1
    indexed_s: float | None = None
    """For so long a turn is in the index; None: as measured without a language model."""

    @property
    def events_per_s(self) -> float:
        """How many ``session_updated`` are told."""
        return (
            self.turns_per_s * {"all": 1.0, "moved": self.moved, "none": 0.0}[self.session_events]
        )


@dataclass(frozen=True, slots=True)
class Term:
    """One reason for load on Redis, by the kinds of keys (``families``)."""

    session: float = 0.0
    spread: float = 0.0
    tenant: float = 0.0
    one: float = 0.0

    @property
    def whole(self) -> float:
        """All of it."""
        return self.session + self.spread + self.tenant + self.one

    def on_hottest(self, site: Site) -> float:
        """Return the load of the shard that has all keys of the kind ``one``: the worst case.

        Tenants are taken for alike, and spread evenly.
        """
        spread = (self.session + self.spread) / site.shards
        return spread + self.tenant / min(site.tenants, site.shards) + self.one


def redis_terms(site: Site, costs: Costs) -> Mapping[str, Term]:
    """Return reason to load."""
    n, t = site.pods, site.turns_per_s
    turn = t * costs.turn_us / _US
    shares = costs.turn_shares
    beat = n / limits.POD_HEARTBEAT_S * costs.beat_us / _US
    terms = {
        "turns": Term(
            turn * shares.session, turn * shares.spread, turn * shares.tenant, turn * shares.one
        ),
        # SET of the pod's own key; ZADD and ZREMRANGEBYSCORE of the table.
        "heartbeats": Term(spread=beat / 3, one=beat * 2 / 3),
        "looks at other pods": Term(
            spread=rows_per_s(n) * costs.row_us / _US,
            one=n / look_period_s(n) * costs.table_us / _US,
        ),
        "sweeps": _sweeps(site, costs),
        "delayed jobs": Term(
            spread=n / poll_period_s(n) * costs.later_poll_us / _US
            + n / COUNTED_EVERY_S * costs.later_count_us / _US
        ),
        "other commands of idle pods": Term(one=n * costs.other_calls * costs.owner_us / _US),
    }
    if site.bus == "redis":
        terms["session_updated"] = Term(one=told_load(site, costs))
    return terms


def _sweeps(site: Site, costs: Costs) -> Term:
    looks = shard_looks_per_s(site.pods)
    entries = looks * entries_per_look(_indexed(site, costs) / limits.RUNNING_SHARDS)
    owners = owners_read_per_s(site.pods, entries)
    spread = looks * costs.sweep_shard_us + owners * costs.owner_us
    return Term(session=entries * costs.entry_us / _US, spread=spread / _US)


def _indexed(site: Site, costs: Costs) -> float:
    seconds = costs.indexed_s if site.indexed_s is None else site.indexed_s
    return site.turns_per_s * seconds


def look_period_s(pods: float) -> float:
    """Return how often a pod reads what all say of themselves."""
    return max(limits.BEHIND_LOOK_S, pods / limits.PODS_READ_PER_S)


def poll_period_s(pods: float) -> float:
    """Return how often a pod looks for delayed jobs."""
    crowded = max(1.0, pods / LATER_LOOKERS)
    return min(LATER_POLL_S * crowded, LATER_LEASE_S / 6)


def rows_per_s(pods: float) -> float:
    """Return how many rows all pods read of all pods."""
    return pods * pods / look_period_s(pods)


def shard_looks_per_s(pods: float) -> float:
    """Return how often all pods look at a shard of the index of running turns, all shards."""
    return min(pods, limits.SWEEP_LOOKS) * limits.RUNNING_SHARDS / limits.SWEEP_S


def entries_per_look(entries: float) -> float:
    """Return how many turns a look at a shard of ``entries`` reads: the oldest, and some others."""
    half = limits.SWEEP_TURNS_MAX * 4 / 2
    return entries if entries <= half else half + half * (entries - half) / entries


def owners_read_per_s(pods: float, entries_per_s: float) -> float:
    """Return how many heartbeats of owners sweeps read: one for each that a sweep meets."""
    others = pods - 1
    if others <= 0:
        return 0.0
    met = entries_per_s * limits.SWEEP_S / pods * others / pods  # turns of others, in one sweep
    return pods / limits.SWEEP_S * others * (1 - math.exp(-met / others))


def told_load(site: Site, costs: Costs) -> float:
    """Return what ``session_updated`` costs a Redis that carries the bus, as a share of a core."""
    events = site.events_per_s
    woken = min(events, READS_PER_S)
    single_us = max(0.0, costs.told_us - costs.entry_batched_us)
    each_pod_us = woken * single_us + events * costs.entry_batched_us
    return (events * costs.publish_us + site.pods * each_pod_us) / _US


def redis_load(site: Site, costs: Costs) -> float:
    """Return the load of the hottest server."""
    return sum(term.on_hottest(site) for term in redis_terms(site, costs).values())


def redis_bytes_per_s(site: Site, costs: Costs) -> float:
    """Return what the hottest server sends and gets."""
    told = site.events_per_s * site.pods * costs.told_bytes if site.bus == "redis" else 0.0
    rest = site.turns_per_s * costs.turn_bytes + rows_per_s(site.pods) * costs.row_bytes
    return rest / site.shards + told


def kafka_load(site: Site, costs: Costs) -> float:
    """Return the load of a broker; ``turn_log`` has as many events as there are turns."""
    if site.bus != "kafka":
        return 0.0
    published = site.turns_per_s + site.events_per_s
    woken = min(site.events_per_s, READS_PER_S)
    told = site.pods * (woken * costs.kafka_told_us + costs.kafka_idle_us)
    return (published * costs.kafka_publish_us + told) / _US / min(site.brokers, PARTITIONS)


PARTITIONS: Final = 4
"""Of ``session_updated`` and ``turn_log``: further brokers lead none of them."""


def kafka_bytes_per_s(site: Site, costs: Costs) -> float:
    """Return what a broker sends and gets of these events."""
    if site.bus != "kafka":
        return 0.0
    sent = site.turns_per_s + site.events_per_s * (1 + site.pods)
    return sent * costs.kafka_bytes / min(site.brokers, PARTITIONS)


def haproxy_load(site: Site, costs: Costs) -> float:
    """Return the load of a balancer: requests are shared by all, checks are not."""
    turns_us = site.turns_per_s / site.balancers * costs.haproxy_turn_us
    return (turns_us + site.pods * CHECKS_PER_S * costs.haproxy_check_us) / _US


def haproxy_bytes(site: Site, costs: Costs, *, streams: float) -> float:
    """Return the memory that pods and open streams take of a balancer."""
    return (
        site.pods * costs.haproxy_server_bytes
        + streams / site.balancers * costs.haproxy_stream_bytes
    )


def pod_load(site: Site, costs: Costs) -> float:
    """Return what other pods cost a pod: events, and being asked who it is."""
    asked = min(site.pods - 1, limits.SWEEP_ASKS_PER_S) if site.pods > 1 else 0.0
    return (site.events_per_s * costs.handled_us + asked * costs.peer_us) / _US
