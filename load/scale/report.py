"""The model's tables and the measured costs, for people."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from load.scale import demand
from load.scale.costs import Costs
from load.scale.demand import Site
from load.scale.saturation import CORE, carried

PODS: Final = (1, 3, 10, 30, 100, 300, 1_000)
SHARDS: Final = (1, 3, 6, 16, 32)
GIGABIT: Final = 125e6


def sites(turns_per_pod: float, *, turn_s: float | None) -> Mapping[str, Site]:
    """Return the clusters that are compared, without their size.

    ``turn_s``: so long a turn lasts, and is in the index; None: as it was measured.
    """
    plain = Site(pods=1, turns_per_s=turns_per_pod, indexed_s=turn_s)
    moved = replace(plain, session_events="moved")
    return {
        "one Redis, all events": plain,
        "one Redis, moved": moved,
        "one Redis, none": replace(plain, session_events="none"),
        "16 shards, all events": replace(plain, shards=16),
        "16 shards, moved": replace(moved, shards=16),
        "16 shards, moved, Kafka": replace(moved, shards=16, bus="kafka", brokers=4),
        "16 shards, moved, 100 tenants": replace(moved, shards=16, tenants=100),
        "32 shards, none, 100 tenants": replace(
            plain, session_events="none", shards=32, tenants=100
        ),
    }


def sized(site: Site, pods: int, turns_per_pod: float) -> Site:
    """Return it with so many pods, each of which answers so many turns."""
    return replace(site, pods=pods, turns_per_s=pods * turns_per_pod)


def model_report(
    costs: Costs, *, turns_per_pod: float, turn_s: float | None, made_from: str
) -> str:
    """Return the tables."""
    compared = sites(turns_per_pod, turn_s=turn_s)
    lasts_s = costs.indexed_s if turn_s is None else turn_s
    return "\n".join(
        [
            "# A cluster on paper",
            "",
            f"Made by `python -m load.scale` from {made_from}.",
            f"Each pod answers {turns_per_pod:g} turns a second, each of which lasts"
            f" {lasts_s:.2g} s; loads are cores",
            "(1.00: one is full), of the busiest server where there are several."
            " [How](../../docs/explanation/scale.md).",
            "",
            "## Redis, one server: which reason takes how much",
            "",
            *_terms(compared["one Redis, all events"], costs, turns_per_pod),
            "",
            "## The busiest Redis server",
            "",
            *_over_pods(compared, turns_per_pod, lambda site: demand.redis_load(site, costs)),
            "",
            "What it sends and gets, Gbit/s:",
            "",
            *_over_pods(
                compared,
                turns_per_pod,
                lambda site: demand.redis_bytes_per_s(site, costs) / GIGABIT,
            ),
            "",
            f"## Pods that fit, at {CORE:.0%} of a core",
            "",
            *_carried(costs, turns_per_pod, turn_s),
            "",
            "## Kafka, HAProxy and the pods",
            "",
            *_parts(costs, turns_per_pod),
            "",
        ]
    )


def _terms(site: Site, costs: Costs, turns_per_pod: float) -> Iterator[str]:
    columns = [demand.redis_terms(sized(site, pods, turns_per_pod), costs) for pods in PODS]
    yield "| reason | " + " | ".join(f"{pods:,}" for pods in PODS) + " |"
    yield "|---" * (len(PODS) + 1) + "|"
    for name in columns[0]:
        yield f"| {name} | " + " | ".join(f"{it[name].whole:.3f}" for it in columns) + " |"
    sums = [sum(term.whole for term in it.values()) for it in columns]
    yield "| **all** | " + " | ".join(f"**{it:.3f}**" for it in sums) + " |"


def _over_pods(
    compared: Mapping[str, Site], turns_per_pod: float, load: Callable[[Site], float]
) -> Iterator[str]:
    yield "| cluster | " + " | ".join(f"{pods:,} pods" for pods in PODS) + " |"
    yield "|---" * (len(PODS) + 1) + "|"
    for name, site in compared.items():
        loads = [load(sized(site, pods, turns_per_pod)) for pods in PODS]
        yield f"| {name} | " + " | ".join(f"{it:.3f}" for it in loads) + " |"


def _carried(costs: Costs, turns_per_pod: float, turn_s: float | None) -> Iterator[str]:
    yield "| session_updated, tenants | " + " | ".join(f"{it} shards" for it in SHARDS) + " |"
    yield "|---" * (len(SHARDS) + 1) + "|"
    for events in ("all", "moved", "none"):
        for bus, tenants in (("redis", 1), ("kafka", 1), ("redis", 100), ("kafka", 100)):
            pods = [
                carried(
                    Site(
                        1,
                        turns_per_pod,
                        session_events=events,
                        shards=shards,
                        bus=bus,
                        tenants=tenants,
                        indexed_s=turn_s,
                    ),
                    lambda site: demand.redis_load(site, costs),
                    turns_per_pod=turns_per_pod,
                )
                for shards in SHARDS
            ]
            told = " | ".join("no end" if it is None else f"{it:,}" for it in pods)
            yield f"| `{events}`, {tenants}, over {bus.capitalize()} | {told} |"


def _parts(costs: Costs, turns_per_pod: float) -> Iterator[str]:
    kafka = Site(1, 1, bus="kafka", brokers=4)
    compared: Sequence[tuple[str, Site, Callable[[Site], float]]] = (
        ("a broker of four, `all`", kafka, lambda it: demand.kafka_load(it, costs)),
        (
            "a broker of four, `moved`",
            replace(kafka, session_events="moved"),
            lambda it: demand.kafka_load(it, costs),
        ),
        ("HAProxy, one", Site(1, 1), lambda it: demand.haproxy_load(it, costs)),
        (
            "HAProxy, one of eight",
            Site(1, 1, balancers=8),
            lambda it: demand.haproxy_load(it, costs),
        ),
        ("a pod, for others, `all`", Site(1, 1), lambda it: demand.pod_load(it, costs)),
        (
            "a pod, for others, `moved`",
            Site(1, 1, session_events="moved"),
            lambda it: demand.pod_load(it, costs),
        ),
    )
    yield "| part | " + " | ".join(f"{pods:,} pods" for pods in PODS) + " |"
    yield "|---" * (len(PODS) + 1) + "|"
    for name, site, load in compared:
        loads = [load(sized(site, pods, turns_per_pod)) for pods in PODS]
        yield f"| {name} | " + " | ".join(f"{it:.3f}" for it in loads) + " |"


def foretold(results: Mapping[str, Any], costs: Costs) -> list[tuple[str, float, float]]:
    """Return what the model was not made from: what, as measured, as foretold.

    Numbers of commands prove the formulas; computing besides, that single steps add up.
    """
    rows = []
    loops = ("heartbeats", "looks at other pods", "sweeps", "delayed jobs")
    counted = costs.in_commands(results["steps"])
    for crowd in results["crowds"]:
        # Turns are in the index and nobody answers them: any number a second that makes so many.
        site = Site(crowd["pods"], crowd["running"], indexed_s=1.0)
        for what, field, known in (
            ("commands", "commands", counted),
            ("computing, µs", "cpu_us", costs),
        ):
            terms = demand.redis_terms(site, known)
            told = sum(terms[name].whole for name in loops) * 1e6
            rows.append((f"loops of {crowd['pods']} pods, a second: {what}", crowd[field], told))
    bus = results["bus"]
    readers = bus["checked_readers"]
    told = bus["publish_cpu_us"] + readers * bus["told_cpu_us"]
    rows.append((f"an event to {readers} pods: computing, µs", bus["checked_cpu_us"], told))
    return rows


def measured_report(results: Mapping[str, Any], costs: Costs) -> str:
    """Return the unit costs, and how well they foretell what they were not made from."""
    flat = {name: value for name, value in asdict(costs).items() if name != "turn_shares"}
    shares = costs.turn_shares
    return "\n".join(
        [
            "# Unit costs of a cluster",
            "",
            "Made by `python -m load.scale measure`. Commits: "
            + ", ".join(f"{part} {commit}" for part, commit in results["commits"].items())
            + f"; {results['machine']}; load before the start {results['load']:.2f}.",
            "Computing is counted by the processes themselves: a busy machine changes it little.",
            "",
            "| cost (`load/scale/costs.py`) | figure |",
            "|---|---|",
            *(f"| `{name}` | {value:,.2f} |" for name, value in flat.items()),
            f"| `turn_shares` | sessions {shares.session:.2f}, spread {shares.spread:.2f},"
            f" a tenant's slot {shares.tenant:.2f}, one slot {shares.one:.2f} |",
            "",
            "What the model foretells of Redis, and was not made from:",
            "",
            "| what | measured | foretold | foretold / measured |",
            "|---|---|---|---|",
            *(
                f"| {name} | {seen:,.0f} | {told:,.0f} | {told / seen:.2f} |"
                for name, seen, told in foretold(results, costs)
            ),
            "",
        ]
    )
