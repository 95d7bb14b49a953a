"""The unit costs that the model stands on, as ``measure`` found them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from load.scale.families import KINDS


@dataclass(frozen=True, slots=True)
class Shares:
    """Which part of a turn's cost in Redis goes to keys of which kind; the sum is 1."""

    session: float
    spread: float
    tenant: float
    one: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Computing in µs of one core, sizes in bytes; "turn" is one whole turn of the sample shop."""

    turn_us: float
    """Redis, without what its event costs and without what idle pods cost meanwhile."""
    turn_shares: Shares
    turn_bytes: float
    """What Redis sends and gets."""
    indexed_s: float
    """For so long a turn is in the index of running turns."""
    beat_us: float
    row_us: float
    row_bytes: float
    table_us: float
    owner_us: float
    sweep_shard_us: float
    entry_us: float
    later_poll_us: float
    later_count_us: float
    other_calls: float
    """Further commands of an idle pod a second, each by itself."""
    publish_us: float
    told_us: float
    """Redis, to wake one pod that waits and to send it one event."""
    entry_batched_us: float
    told_bytes: float
    handled_us: float
    """A pod, to read and handle an event."""
    peer_us: float
    """A pod, to say who it is."""
    worker_turn_us: float
    kafka_publish_us: float
    kafka_told_us: float
    kafka_idle_us: float
    """A second of a pod that waits."""
    kafka_bytes: float
    """Of an event, on the disk and to each reader."""
    haproxy_turn_us: float
    haproxy_check_us: float
    haproxy_server_bytes: float
    haproxy_stream_bytes: float

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``measure`` kept; raises ``SystemExit`` where there is nothing."""
        try:
            return cls.of(json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            raise SystemExit(f"{path} is not there; run: python -m load.scale measure") from None

    def in_commands(self, steps: Mapping[str, float]) -> Self:
        """Return the same with the number of commands in place of their computing, of loops."""
        named = ("beat", "row", "table", "owner", "sweep_shard", "entry", "later_poll")
        counted: dict[str, Any] = {
            f"{name}_us": steps[f"{name}_commands"] for name in (*named, "later_count")
        }
        return replace(self, **counted)

    @classmethod
    def of(cls, results: Mapping[str, Any]) -> Self:
        """Take them from the results of all measures."""
        steps, bus, cluster = results["steps"], results["bus"], results["cluster"]
        turn, idle = cluster["turn"], cluster["idle_cluster"]
        event_us = bus["publish_cpu_us"] + bus["told_cpu_us"]
        known = {
            "turn_us": turn["cpu_us"] - idle["cpu_us"] * turn["seconds"] - event_us,
            "turn_shares": _shares(turn["families"], steps["command_us"]),
            "turn_bytes": turn["in_bytes"] + turn["out_bytes"],
            "indexed_s": turn["indexed_s"],
            "other_calls": _others(cluster["idle"]["families"]),
            "publish_us": bus["publish_cpu_us"],
            "told_us": bus["told_cpu_us"],
            "entry_batched_us": bus["batched_entry_cpu_us"],
            "told_bytes": bus["told_bytes"],
            "handled_us": bus["handled_cpu_us"],
            "peer_us": cluster["peer_asked_cpu_us"],
            "worker_turn_us": cluster["worker_cpu_us"],
            "haproxy_turn_us": cluster["haproxy_cpu_us"],
            **{
                name: steps[f"{name.removesuffix('_us')}_cpu_us"]
                for name in (
                    *("beat_us", "row_us", "table_us", "owner_us"),
                    *("sweep_shard_us", "entry_us", "later_poll_us", "later_count_us"),
                )
            },
            "row_bytes": steps["row_out_bytes"],
            **results["kafka"],
            **results["haproxy"],
        }
        return cls(**{field.name: known[field.name] for field in fields(cls)})


def _shares(families: Mapping[str, Mapping[str, float]], command_us: float) -> Shares:
    """Weigh each family by what its commands took, and by what taking any command costs."""
    weights = dict.fromkeys(("session", "spread", "tenant", "one"), 0.0)
    for name, row in families.items():
        # Idle loops go on meanwhile; the event is counted by itself.
        if name in _IDLE or name not in KINDS:
            continue
        weights[KINDS[name]] += row["exec_us"] + row["calls"] * command_us
    whole = sum(weights.values())
    return Shares(**{kind: weight / whole for kind, weight in weights.items()})


_IDLE = frozenset({"bus", "bus, read", "heartbeats", "table of pods", "delayed jobs", "plugins"})
_LOOPS = frozenset({"heartbeats", "table of pods", "running turns", "delayed jobs", "no key"})


def _others(families: Mapping[str, Mapping[str, float]]) -> float:
    """Return the commands a second of an idle pod that no loop of the model sends."""
    return sum(row["calls"] for name, row in families.items() if name not in _LOOPS)
