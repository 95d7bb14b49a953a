"""What a pod counts of itself: its heart, its frames, its streams, its answers."""

import threading
from pathlib import Path

from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import manifest_name
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.events import SESSION_UPDATED
from kotaemon_node.listeners.dispatch import Dispatch
from kotaemon_node.ports.events import Message
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.knowledge import TENANT, Publisher
from tests.fakes.knowledge_ports import HandClock
from tests.fakes.services import FakeCluster
from tests.unit.test_api_stream import TURNS, asked
from tests.unit.test_engine_aside import World
from tests.unit.test_engine_group_commit import PATIENCE_S, GatedLog, Turn, make
from tests.unit.test_retrieval_library import new_library


def value(metrics: Metrics, name: str, **labels: str) -> float:
    found = metrics.registry.get_sample_value(name, labels)
    assert found is not None, f"{name} {labels}"
    return found


def test_the_gap_between_heartbeats_is_that_of_those_which_the_store_took() -> None:
    world = World(1)
    node = world.nodes[0]
    metrics = node.pod._metrics

    world.live(2 * limits.POD_HEARTBEAT_S)
    node.cut_off = True
    world.live(3 * limits.POD_HEARTBEAT_S)
    node.cut_off = False
    world.live(limits.POD_HEARTBEAT_S)

    assert value(metrics, "kotaemon_heartbeat_gap_seconds_count") == 2
    assert value(metrics, "kotaemon_heartbeat_gap_seconds_sum") == 5 * limits.POD_HEARTBEAT_S
    assert value(metrics, "kotaemon_heartbeat_gap_seconds_bucket", le="1.5") == 1
    assert value(metrics, "kotaemon_store_refusals_total", reason="silent") == 3


def test_each_wait_between_heartbeats_measures_the_lag_of_the_loop() -> None:
    world = World(1)
    node = world.nodes[0]
    heart = threading.Thread(target=lambda: node.pod.keep_present(node.owners))
    heart.start()
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + PATIENCE_S
    while not value(node.pod._metrics, "kotaemon_loop_lag_seconds_count"):
        assert clock.monotonic_s() < deadline_s
        clock.sleep(0.05)

    node.pod.leave()
    heart.join(PATIENCE_S)

    assert not heart.is_alive()


def test_a_batch_that_is_sent_again_is_counted_and_its_frames_once() -> None:
    log, metrics = GatedLog(), Metrics()
    log.away = 1
    log.gate.release(100)
    turn = Turn(make(log, metrics=metrics), "a")

    turn.text("one")
    turn.outbox.drain()

    assert value(metrics, "kotaemon_frame_batches_repeated_total") == 1
    assert value(metrics, "kotaemon_frames_stored_total") == 1
    assert value(metrics, "kotaemon_frame_delay_seconds_sum") > 0


def test_a_stream_that_is_told_to_come_back_is_counted() -> None:
    cluster = FakeCluster()
    cluster.turns.pauses = {3: [StoreUnavailable("Redis does not answer")]}
    client = asked(cluster)

    assert client.get(f"{TURNS}/t/stream").text

    shown = client.get("/metrics").text
    assert 'kotaemon_reconnects_total{reason="error"} 1.0' in shown


def test_errors_of_the_api_are_counted_by_their_code() -> None:
    cluster = FakeCluster()
    client = asked(cluster)
    cluster.turns.pauses = {1: [StoreUnavailable("Redis does not answer")]}

    client.get(f"{TURNS}/t/stream")
    client.get("/no/such/route")

    shown = client.get("/metrics").text
    assert 'kotaemon_error_answers_total{code="store_unavailable"} 1.0' in shown
    assert 'kotaemon_error_answers_total{code="internal"} 0.0' in shown


def test_the_delay_of_an_event_is_measured_where_the_bus_stamps_it() -> None:
    class Heard:
        def handle(self, message: Message) -> bool:
            return True

    clock, metrics = HandClock(), Metrics()
    dispatch = Dispatch(None, {SESSION_UPDATED: Heard()}, metrics=metrics, clock=clock)  # type: ignore[arg-type]

    dispatch.dispatch(Message(SESSION_UPDATED, "s", b"{}", sent_at_s=clock.now_s() - 2.5))
    dispatch.dispatch(Message(SESSION_UPDATED, "s", b"{}"))

    delay = {"topic": SESSION_UPDATED}
    assert value(metrics, "kotaemon_event_delay_seconds_count", **delay) == 1
    assert value(metrics, "kotaemon_event_delay_seconds_sum", **delay) == 2.5


def test_each_generation_that_is_served_or_refused_is_counted(tmp_path: Path) -> None:
    publisher, metrics = Publisher(tmp_path), Metrics()
    library = new_library(
        publisher,
        count_refused=metrics.knowledge.generation_refused,
        count_loaded=metrics.knowledge.generation_loaded,
    )
    publisher.publish({"lamps.md": "Lamps ship in two days."})
    library.reconcile()
    library.reconcile()
    ref = publisher.publish({"chairs.md": "Chairs ship in three days."})
    publisher.store.delete(manifest_name(TENANT, "default", ref.generation))
    library.reconcile()

    assert value(metrics, "kotaemon_generation_load_seconds_count") == 1
    refused = {"kb": "default", "reason": "corrupt"}
    assert value(metrics, "kotaemon_generation_refused_total", **refused) == 1
