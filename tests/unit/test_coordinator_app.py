"""What health checks and Prometheus are told."""

from pathlib import Path

from flask.testing import FlaskClient

from coordinator.app import LOOP_SILENT_MAX_S, create_app
from coordinator.metrics import COUNTERS, GAUGES, KNOWN_LABELS, CoordinatorMetrics
from coordinator.status import Status
from tests.fakes.coordination import SteppedCoordinator, World


def client_of(coordinator: SteppedCoordinator) -> FlaskClient:
    app = create_app(
        board=coordinator.board, metrics=coordinator.metrics, clock=coordinator.world.clock
    )
    return app.test_client()


def test_ready_after_the_first_generation_and_not_before(tmp_path: Path) -> None:
    world = World(tmp_path)
    coordinator = SteppedCoordinator(world)
    client = client_of(coordinator)
    before = client.get("/readyz")
    assert (before.status_code, before.json["problem"]) == (503, "starting")  # type: ignore[index]

    world.write({"a.md": "One.", "b.pdf": "x", "bad name/c.md": "x"})
    coordinator.settle()
    after = client.get("/readyz")
    assert after.status_code == 200
    assert after.json is not None
    assert after.json["role"] == "leader"
    assert after.json["knowledge"]["default"] == {
        "generation": 1,
        "documents": {"indexed": 1, "failed": 1, "waiting": 0},
        "passages": 1,
        "segments": 1,
        "recall": None,
        "rolled_back_to": None,
        "refused": 0,
        "held": None,
    }
    assert after.json["ignored"][0]["path"] == "bad name"


def test_a_silent_store_is_not_ready_and_says_why(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.leadership.away = True
    coordinator = SteppedCoordinator(world)
    coordinator.settle()
    answer = client_of(coordinator).get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["problem"] == "the session store does not answer"


def test_alive_as_long_as_the_loop_gives_signs(tmp_path: Path) -> None:
    coordinator = SteppedCoordinator(World(tmp_path))
    client = client_of(coordinator)
    coordinator.settle()
    assert client.get("/healthz").status_code == 200
    coordinator.world.clock.sleep(LOOP_SILENT_MAX_S)
    assert client.get("/healthz").status_code == 503


def test_every_metric_of_the_table_is_exposed(tmp_path: Path) -> None:
    world = World(tmp_path)
    coordinator = SteppedCoordinator(world)
    world.write({"a.md": "One."})
    coordinator.settle()
    text = client_of(coordinator).get("/metrics").get_data(as_text=True)
    for name, *_ in (*GAUGES, *COUNTERS):
        assert f"# HELP {name} " in text
    assert 'kotaemon_coordinator_generation{kb="default"} 1.0' in text
    assert 'kotaemon_coordinator_documents_read_total{outcome="indexed"} 1.0' in text
    assert "kotaemon_coordinator_build_seconds_count 1.0" in text


def test_trouble_and_a_silent_loop_are_seen(tmp_path: Path) -> None:
    world = World(tmp_path)
    coordinator = SteppedCoordinator(world)
    client = client_of(coordinator)
    world.write({"a.md": "One."})
    coordinator.settle()
    calm = client.get("/metrics").get_data(as_text=True)
    coordinator.loop._trouble("the store is full")
    coordinator.board.beat_s = world.clock.monotonic_s() - 42.0

    troubled = client.get("/metrics").get_data(as_text=True)

    assert "kotaemon_coordinator_problem 0.0" in calm
    assert "kotaemon_coordinator_step_failures_total 0.0" in calm
    assert "kotaemon_coordinator_problem 1.0" in troubled
    assert "kotaemon_coordinator_step_failures_total 1.0" in troubled
    assert "kotaemon_coordinator_loop_silent_seconds 42.0" in troubled


def test_who_leads_no_more_shows_no_knowledge_base(tmp_path: Path) -> None:
    world = World(tmp_path)
    coordinator = SteppedCoordinator(world)
    world.write({"a.md": "One."})
    coordinator.settle()
    leading = coordinator.metrics.exposition().decode()
    coordinator.loop._show(Status(role="standby", problem=None))

    standing_by = coordinator.metrics.exposition().decode()

    assert 'kotaemon_coordinator_documents{kb="default",status="indexed"} 1.0' in leading
    assert 'kotaemon_coordinator_held{kb="default"} 0.0' in leading
    for gauge in ("generation", "documents", "passages", "segments", "held"):
        assert f"kotaemon_coordinator_{gauge}{{" not in standing_by
    assert "kotaemon_coordinator_leader 0.0" in standing_by


def test_what_is_known_beforehand_is_counted_from_nothing() -> None:
    text = CoordinatorMetrics().exposition().decode()

    columns = {name: labels for name, _, labels in COUNTERS}
    for name, rows in KNOWN_LABELS.items():
        for values in rows:
            pairs = sorted(zip(columns[name], values, strict=True))
            labels = ",".join(f'{label}="{value}"' for label, value in pairs)
            assert f"{name}{{{labels}}} 0.0" in text
