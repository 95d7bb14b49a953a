"""The arithmetic of a cluster on paper, against examples that were worked out by hand."""

from dataclasses import fields, replace
from typing import Any

import pytest

from kotaemon_node.adapters.redis import keys
from kotaemon_node.engine.later import COUNTED_EVERY_S
from load.scale import demand
from load.scale.costs import Costs, Shares
from load.scale.demand import Site, Term
from load.scale.families import family_of
from load.scale.plot import lines_plot
from load.scale.report import model_report, sites
from load.scale.saturation import carried

NOTHING: Any = {field.name: 0.0 for field in fields(Costs)}
FREE = Costs(**{**NOTHING, "turn_shares": Shares(0.5, 0.3, 0.15, 0.05)})


def costs(**known: float) -> Costs:
    """Return costs of which all others are nothing."""
    return replace(FREE, **known)


def terms(site: Site, known: Costs) -> dict[str, Term]:
    return dict(demand.redis_terms(site, known))


def test_turns_cost_their_number_and_are_shared_by_kinds_of_keys() -> None:
    # 2,000 turns/s × 300 µs = 0.6 s of computing each second.
    turns = terms(Site(10, 2_000), costs(turn_us=300))["turns"]
    assert turns == Term(
        session=pytest.approx(0.3),
        spread=pytest.approx(0.18),
        tenant=pytest.approx(0.09),
        one=pytest.approx(0.03),
    )


def test_heartbeats_are_two_a_second_and_two_of_three_commands_go_to_the_one_table() -> None:
    # 100 pods × 2/s × 30 µs = 6,000 µs/s.
    beats = terms(Site(100, 0), costs(beat_us=30))["heartbeats"]
    assert beats.spread == pytest.approx(0.002)
    assert beats.one == pytest.approx(0.004)


@pytest.mark.parametrize(
    ("pods", "period_s", "rows"),
    [(10, 2, 50), (100, 2, 5_000), (200, 4, 10_000), (1_000, 20, 50_000)],
)
def test_looks_at_other_pods_grow_with_the_square_up_to_a_hundred_then_evenly(
    pods: int, period_s: float, rows: float
) -> None:
    assert demand.look_period_s(pods) == period_s
    assert demand.rows_per_s(pods) == rows
    looks = terms(Site(pods, 0), costs(row_us=2, table_us=40))["looks at other pods"]
    assert looks.spread == pytest.approx(rows * 2e-6)
    assert looks.one == pytest.approx(pods / period_s * 40e-6)


@pytest.mark.parametrize(("pods", "looks"), [(1, 16), (8, 128), (1_000, 128)])
def test_shards_are_looked_at_by_eight_pods_a_second_at_most(pods: int, looks: float) -> None:
    assert demand.shard_looks_per_s(pods) == looks


@pytest.mark.parametrize(
    ("entries", "read"),
    [
        (10, 10),
        (64, 64),  # the oldest 64
        (128, 96),  # and half of the 64 drawn are not among those
        (6_400, 127.36),  # 64 + 64 × 6,336 / 6,400
    ],
)
def test_a_look_reads_a_bounded_part_of_a_shard(entries: float, read: float) -> None:
    assert demand.entries_per_look(entries) == pytest.approx(read)


def test_sweeps_cost_looks_entries_and_the_owners_met() -> None:
    # 160 turns/s that stay 1 s: 10 a shard; 8 pods × 16 shards = 128 looks/s, 1,280 entries/s.
    known = costs(sweep_shard_us=4, entry_us=7, owner_us=20)
    sweeps = terms(Site(8, 160, indexed_s=1.0), known)["sweeps"]
    assert sweeps.session == pytest.approx(1_280 * 7e-6)
    # A sweep meets 160 × 7/8 = 140 turns of 7 others: each of them, as good as surely.
    assert sweeps.spread == pytest.approx((128 * 4 + 8 * 7 * 20) * 1e-6, rel=1e-6)


def test_owners_read_are_those_that_a_sweep_meets() -> None:
    assert demand.owners_read_per_s(1, 1_000) == 0.0
    # 1,000 pods, 12,800 entries/s: 12.8 in a sweep, nearly all of different owners.
    assert demand.owners_read_per_s(1_000, 12_800) == pytest.approx(1_000 * 12.7, rel=0.01)


def test_delayed_jobs_and_other_commands_of_idle_pods_are_by_the_pod() -> None:
    known = costs(later_poll_us=250, later_count_us=1_500, other_calls=8, owner_us=20)
    found = terms(Site(100, 0), known)
    # Eight pods' worth of looks, but each every 20 s / 6 at least.
    assert demand.poll_period_s(4) == 0.5
    assert demand.poll_period_s(16) == 1.0
    assert found["delayed jobs"] == Term(
        spread=pytest.approx(100 / (20 / 6) * 250e-6 + 100 / COUNTED_EVERY_S * 1_500e-6)
    )
    assert found["other commands of idle pods"] == Term(one=pytest.approx(100 * 8 * 20e-6))


@pytest.mark.parametrize(("mode", "events"), [("all", 500.0), ("moved", 10.0), ("none", 0.0)])
def test_events_are_those_that_are_told(mode: Any, events: float) -> None:
    assert Site(10, 500, session_events=mode, moved=0.02).events_per_s == pytest.approx(events)


def test_an_event_wakes_every_pod_until_they_come_faster_than_pods_read() -> None:
    known = costs(publish_us=50, told_us=20, entry_batched_us=1)
    # 100 events/s to 10 pods: 100 × 50 + 10 × 100 × 20 µs.
    assert demand.told_load(Site(10, 100), known) == pytest.approx(0.025)
    # 5,000 events/s: each pod reads 1,000 times, 19 µs each, and 5,000 entries of 1 µs.
    assert demand.told_load(Site(10, 5_000), known) == pytest.approx(0.25 + 10 * 0.024)
    assert "session_updated" not in terms(Site(10, 100, bus="kafka"), known)


def test_shards_share_what_is_spread_and_none_shares_one_slot() -> None:
    term = Term(session=3, spread=1, tenant=0.6, one=0.5)
    assert term.on_hottest(Site(1, 1, shards=4)) == pytest.approx(1 + 0.6 + 0.5)
    assert term.on_hottest(Site(1, 1, shards=4, tenants=3)) == pytest.approx(1 + 0.2 + 0.5)
    assert term.on_hottest(Site(1, 1, shards=4, tenants=99)) == pytest.approx(1 + 0.15 + 0.5)
    known = costs(turn_us=1_000)
    assert demand.redis_load(Site(1, 1_000, shards=4), known) == pytest.approx(0.8 / 4 + 0.2)


def test_bytes_of_redis_are_those_of_turns_rows_and_events() -> None:
    known = costs(turn_bytes=10_000, row_bytes=500, told_bytes=400)
    # 20 × 10,000 + 100²/2 × 500, halved, and 20 events to 100 pods.
    sent = demand.redis_bytes_per_s(Site(100, 20, shards=2), known)
    assert sent == pytest.approx((200_000 + 2_500_000) / 2 + 20 * 100 * 400)


def test_kafka_takes_an_event_and_a_record_of_each_turn_and_tells_each_pod() -> None:
    known = costs(kafka_publish_us=300, kafka_told_us=100, kafka_idle_us=500, kafka_bytes=400)
    site = Site(10, 100, bus="kafka", brokers=2)
    # (200 × 300 + 10 × (100 × 100 + 500)) / 2 brokers.
    assert demand.kafka_load(site, known) == pytest.approx(0.0825)
    assert demand.kafka_bytes_per_s(site, known) == pytest.approx((100 + 100 * 11) * 400 / 2)
    # Four partitions: the fifth broker leads none.
    assert demand.kafka_load(replace(site, brokers=9), known) == pytest.approx(0.04125)
    assert demand.kafka_load(replace(site, bus="redis"), known) == 0.0


def test_balancers_share_requests_and_each_checks_all_pods() -> None:
    known = costs(haproxy_turn_us=400, haproxy_check_us=50)
    # 1,000 / 2 × 400 + 100 pods × 2/s × 50.
    site = Site(100, 1_000, balancers=2)
    assert demand.haproxy_load(site, known) == pytest.approx(0.21)
    sizes = costs(haproxy_server_bytes=10_000, haproxy_stream_bytes=100_000)
    assert demand.haproxy_bytes(site, sizes, streams=4_000) == pytest.approx(201e6)


def test_a_pod_handles_all_events_and_is_asked_a_few_times_a_second() -> None:
    known = costs(handled_us=40, peer_us=1_000)
    assert demand.pod_load(Site(3, 100), known) == pytest.approx(0.004 + 0.002)
    assert demand.pod_load(Site(1_000, 100), known) == pytest.approx(0.004 + 0.008)
    assert demand.pod_load(Site(1, 0), known) == 0.0


def test_a_part_carries_the_last_number_of_pods_that_fits() -> None:
    # 100 µs × 25 turns/s a pod: 280 pods are 0.7 of a core.
    known = costs(turn_us=100)

    def load(site: Site) -> float:
        return demand.redis_load(site, known)

    assert carried(Site(1, 1), load, turns_per_pod=25, most=0.7001) == 280
    assert carried(Site(1, 1), lambda _: 0.0, turns_per_pod=25) is None
    assert carried(Site(1, 1), lambda _: 1.0, turns_per_pod=25) == 0


@pytest.mark.parametrize(
    ("command", "family"),
    [
        ("GET kn:pod:worker-0.1", "heartbeats"),
        ("ZRANGE kn:pods 0 -1", "table of pods"),
        ("ZRANGE kn:running:3 0 9", "running turns"),
        ("EVALSHA 0a 4 kn:default:{s1}:meta kn:default:{s1}:turns", "sessions"),
        ("EVALSHA 0a 2 kn:{later:1}:due:webhook x", "delayed jobs"),
        ("XREAD COUNT 200 BLOCK 1000 STREAMS kn:{bus}:session_updated 0-0", "bus, read"),
        ("XADD kn:{bus}:session_updated * k v", "bus"),
        ("ZADD kn:default:all-sessions 1 s1", "lists of sessions"),
        ("PUBLISH kn:default:{s1}:signal t1", "sessions"),
        ("TIME", ""),
    ],
)
def test_commands_are_known_by_their_keys(command: str, family: str) -> None:
    assert family_of(command.split()) == family


def test_a_key_of_no_family_is_told() -> None:
    with pytest.raises(KeyError, match="kn:unheard"):
        family_of(["GET", "kn:unheard"])


def test_every_key_of_the_schema_has_a_family() -> None:
    rows = [line.split("|")[1].strip() for line in (keys.__doc__ or "").splitlines() if "|" in line]
    named = [row for row in rows if row.startswith("kn:")]
    assert len(named) > 40
    for row in named:
        assert family_of(["GET", row])


def test_turns_that_last_are_in_the_index_for_as_long_in_every_table() -> None:
    assert {site.indexed_s for site in sites(2.5, turn_s=10.0).values()} == {10.0}
    assert {site.indexed_s for site in sites(25, turn_s=None).values()} == {None}
    known = costs(entry_us=210, indexed_s=0.1)
    brief = model_report(known, turns_per_pod=2.5, turn_s=None, made_from="nothing")
    long = model_report(known, turns_per_pod=2.5, turn_s=10.0, made_from="nothing")
    # 10 pods × 2.5/s × 0.1 s = 2.5 turns, × 10 s = 250; each is read 8 times a second, 210 µs.
    assert "| sweeps | 0.000 | 0.000 | 0.004 |" in brief
    assert "| sweeps | 0.005 | 0.047 | 0.420 |" in long
    assert "each of which lasts 10 s" in long
    # 0.7 s / 210 µs / 8 = 416.7 turns: of pods with 0.25, or with 25 of them.
    assert "| `none`, 1, over Redis | 1,666 |" in brief
    assert "| `none`, 1, over Redis | 16 |" in long


def test_tables_and_plots_are_made_of_any_costs() -> None:
    known = costs(turn_us=300, beat_us=30, told_us=20, haproxy_turn_us=400)
    text = model_report(known, turns_per_pod=25, turn_s=None, made_from="nothing")
    # 1,000 pods × 2/s × 30 µs.
    assert "| heartbeats | 0.000 | 0.000 | 0.001 | 0.002 | 0.006 | 0.018 | 0.060 |" in text
    plot = lines_plot("Load", {"a": [(1, 0.0), (10, 0.1), (100, 1.0)]}, x="pods", y="cores")
    assert plot.count("<polyline") == 1
    assert ">100<" in plot
