"""What the cluster does by itself is in the audit log: its settings, and what it publishes."""

from pathlib import Path

import pytest

from coordinator.settings import CoordinatorSettings
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.audit_log.settings_told import SettingsTold, digests_of
from kotaemon_node.audit_log.writer import AuditWriter
from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.settings import Settings
from tests.audit_logs import KEY
from tests.fakes.audit_store import MemoryAuditStore
from tests.fakes.coordination import TENANT, SteppedCoordinator, World

SECRETS = {
    "llm_api_key": "sk-one",
    "admin_key": "a" * 40,
    "kafka_password": "hunter2",
    "artifact_token": "t0ken",
    "otel_exporter_otlp_headers": "authorization=hunter3",
    "oidc_client_secret": "hunter4",
}


def told(store: MemoryAuditStore, settings: Settings, program: str = "worker") -> list[AuditEvent]:
    return list(SettingsTold(program, digests_of(settings), store).events())


@pytest.fixture
def store() -> MemoryAuditStore:
    return MemoryAuditStore(lambda: 1.0)


def test_settings_that_changed_are_named_once(store: MemoryAuditStore) -> None:
    """Of many pods that begin with the same settings one tells; programs are told apart."""
    [first] = told(store, Settings())
    assert (first.action, first.target, first.detail.get("settings")) == (
        "settings.changed",
        "worker",
        None,
    )
    assert told(store, Settings(pod_name="another")) == []
    [changed] = told(store, Settings(llm_model="other", redis_url="redis://elsewhere/0"))
    assert changed.detail["settings"] == "LLM_MODEL, REDIS_URL"
    assert (changed.detail["changed"], changed.detail["before"]) == (2, first.detail["version"])
    assert told(store, Settings(llm_model="other", redis_url="redis://elsewhere/0")) == []
    [coordinator] = told(store, CoordinatorSettings(), "coordinator")
    assert coordinator.target == "coordinator"


def test_no_secret_is_kept_not_even_its_digest(store: MemoryAuditStore) -> None:
    """Who reads Redis must not be able to try passwords; a changed one is no entry."""
    told(store, Settings(redis_url="redis://redis:6379/0"))
    kept = dict(store.known)
    secret = Settings(**SECRETS, redis_url="redis://worker:hunter5@redis:6379/0")  # type: ignore[arg-type]
    assert told(store, secret) == []
    assert store.known == kept


@pytest.mark.parametrize(
    "secret",
    [
        "redis://redis:6379/0?sentinel_password=hunter6",
        "redis://:hunter5@redis:6379/0?password=hunter6&health_check_interval=5",
        "redis://:hun?ter@5@redis:6379/0",
        'redis://worker:hun"te/r5, "@redis:6379/0#hunter',
    ],
)
def test_no_secret_of_a_url_is_kept_not_even_its_digest(
    store: MemoryAuditStore, secret: str
) -> None:
    """Wherever the URL has it, and whatever marks it holds."""
    told(store, Settings(redis_url="redis://redis:6379/0"))
    kept = dict(store.known)
    assert told(store, Settings(redis_url=secret)) == []
    assert store.known == kept
    [changed] = told(store, Settings(redis_url=secret.replace("redis:6379", "other:6379")))
    assert changed.detail["settings"] == "REDIS_URL"


def test_ports_that_each_worker_has_for_itself_are_no_change(store: MemoryAuditStore) -> None:
    """Several on one machine begin with a port each; that there is one at all is told."""
    told(store, Settings())
    [changed] = told(store, Settings(grpc_port=50_051))
    assert changed.detail["settings"] == "GRPC_PORT"
    assert told(store, Settings(grpc_port=50_052, pod_name="worker-1")) == []
    [changed] = told(store, Settings())
    assert changed.detail["settings"] == "GRPC_PORT"


def test_a_store_that_is_away_is_told_later(store: MemoryAuditStore) -> None:
    """What a process has to say first waits until there is somebody to hear it."""
    away = [True]
    said = SettingsTold("worker", digests_of(Settings()), store)

    def first() -> list[AuditEvent]:
        if away[0]:
            raise StoreUnavailable("away")
        return list(said.events())

    writer = AuditWriter(
        store, keys=lambda: [KEY], clock=SystemClock(), ids=RandomIds(), lines=False, first=first
    )
    writer.flush()
    assert store.lines == {}
    away[0] = False
    writer.flush()
    writer.flush()
    actions = [entry.event.action for entry in store.entries("default")]
    assert actions == ["audit.begun", "settings.changed"]


def test_each_generation_that_the_coordinator_makes_is_an_act(tmp_path: Path) -> None:
    """With its number, its digest, and the order that it was made for, where there was one."""
    world = World(tmp_path)
    world.write({"a.md": "Good days: Monday."})
    coordinator = SteppedCoordinator(world)
    coordinator.settle()
    [first] = world.acts.events
    manifest = world.manifest()
    assert (first.action, first.tenant, first.role, first.target) == (
        "generation.published",
        TENANT,
        "system",
        "default",
    )
    assert first.detail == {"generation": 1, "sha256": manifest.digest, "documents": 1}
    world.write({"a.md": "Good days: Tuesday."})
    coordinator.settle()
    assert [one.detail["generation"] for one in world.acts.events] == [1, 2]
