"""Strange names and broken logs in either store keep the leader from no other tenant's log."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from coordinator.audit_moving import AuditMoving
from kotaemon_node.adapters.signing import Ed25519Signer, TrustedKeys
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.audit_log.findings import Verification
from kotaemon_node.audit_log.verifying import AuditVerifier
from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.domain.errors import StoreUnavailable
from tests.audit_logs import KEY, NoMovingCounts, store_of, write
from tests.redis_server import RedisServer

SIGNER = Ed25519Signer.of_seed(b"s" * 32)


@dataclass
class Counts(NoMovingCounts):
    set_back: int = 0
    ages: list[float] = field(default_factory=list)

    def audit_set_back(self) -> None:
        self.set_back += 1

    def audit_unswept(self, since_s: float) -> None:
        self.ages.append(since_s)


class Hours(SystemClock):
    """Goes on by hand, on top of what the machine says."""

    def __init__(self) -> None:
        self.later_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.later_s


@dataclass
class Leader:
    """One leader after the other over the same two stores."""

    url: str
    folder: Path
    counts: Counts = field(default_factory=Counts)
    clock: Hours = field(default_factory=Hours)
    said: list[str] = field(default_factory=list)

    def record(self, event: AuditEvent) -> None:
        self.said.append(event.action)

    def mover(self, *, moved_after_s: float = 0) -> AuditMoving:
        return AuditMoving(
            store_of(self.url),
            FileArtifactStore(self.folder),
            signer=SIGNER,
            verifier=TrustedKeys([SIGNER.public_key]),
            log=self,
            leads=lambda: True,
            clock=self.clock,
            counts=self.counts,
            kept_s=3600,
            moved_after_s=moved_after_s,
        )

    def left(self, tenant: str) -> int:
        """Return how many entries are still in the session store."""
        return store_of(self.url).size(tenant)

    def verify(self, tenant: str) -> Verification:
        store, files = store_of(self.url), FileArtifactStore(self.folder)
        keys = TrustedKeys([SIGNER.public_key])
        return AuditVerifier(store, files, keys=[KEY], verifier=keys).verify(tenant)


@pytest.fixture
def leader(server: RedisServer, tmp_path: Path) -> Leader:
    return Leader(server.url, tmp_path)


@pytest.mark.parametrize("name", [b"!/../x", b"..", b"\xff\xfe", b"", b"a/b", b"x" * 200])
def test_a_strange_name_among_the_tenants_is_no_tenant(leader: Leader, name: bytes) -> None:
    """Who may write to the session store adds a name: the others' logs are moved as before."""
    store_of(leader.url)._store.client.sadd("kn:audit-tenants", name)
    write(leader.url, 5)
    leader.mover().sweep()
    assert leader.left("default") == 0
    assert list(store_of(leader.url).tenants()) == ["default"]


@pytest.mark.parametrize("name", ["README", "²/anchors/x.note", "000000000000000/y", "9" * 15])
def test_a_strange_object_among_the_volumes_is_none(leader: Leader, name: str) -> None:
    """It stops neither the moving, the retiring nor the verifying, of this log or another."""
    write(leader.url, 5, tenant="acme")
    write(leader.url, 5)
    place = leader.folder / "audit" / "acme" / name
    place.parent.mkdir(parents=True)
    place.write_text("hello")
    leader.mover().sweep()
    assert (leader.left("acme"), leader.left("default")) == (0, 0)
    assert leader.verify("default").whole
    assert leader.verify("acme").entries == 6


def test_a_log_that_cannot_be_moved_stops_no_other_and_is_shown(leader: Leader) -> None:
    """Its age grows in the metrics until it can be moved again."""
    client = store_of(leader.url)._store.client
    for tenant in ("a", "b", "z"):
        write(leader.url, 5, tenant=tenant)
    client.rename("kn:{audit:b}:lines", "aside")
    client.set("kn:{audit:b}:lines", "no stream")
    mover = leader.mover()
    mover.sweep()
    leader.clock.later_s = 1_000
    mover.sweep()
    assert (leader.left("a"), leader.left("z")) == (0, 0)
    assert leader.counts.ages[-1] >= 1_000
    client.rename("aside", "kn:{audit:b}:lines")
    mover.sweep()
    assert leader.left("b") == 0
    assert leader.counts.ages[-1] < 500


def test_a_store_that_is_away_ends_the_sweep(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One session store has them all: nobody waits for it once for each tenant."""
    asked: list[str] = []
    write(leader.url, 1, tenant="a")
    write(leader.url, 1, tenant="b")
    mover = leader.mover()

    def away(_: object, tenant: str) -> object:
        asked.append(tenant)
        raise StoreUnavailable("away")

    monkeypatch.setattr(type(mover._store), "head", away)
    with pytest.raises(StoreUnavailable):
        mover.sweep()
    assert len(asked) == 1


def test_a_sweep_with_nothing_to_do_reads_one_line_a_tenant(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision needs the oldest line's time, and not all lines."""
    write(leader.url, 300)
    mover, read = leader.mover(moved_after_s=3600), []
    real = type(mover._store).oldest

    def counted(self: object, tenant: str, **named: object) -> object:
        rows = real(self, tenant, **named)  # type: ignore[arg-type]
        read.append(len(rows))
        return rows

    monkeypatch.setattr(type(mover._store), "oldest", counted)
    mover.sweep()
    assert read == [1]


def test_a_log_that_was_set_back_is_told_once(leader: Leader) -> None:
    """A leader that begins later knows that it was told, before and after what is left moved."""
    write(leader.url, 10)
    leader.mover(moved_after_s=3600).sweep()
    cut_off(leader.url, through=6)
    leader.mover(moved_after_s=3600).sweep()
    assert (leader.said, leader.counts.set_back) == (["audit.set_back"], 1)
    write(leader.url, 1)
    leader.mover(moved_after_s=3600).sweep()
    leader.mover().sweep()
    assert leader.left("default") == 0
    leader.mover().sweep()
    assert leader.said == ["audit.set_back"]
    forget(leader.url)
    leader.mover().sweep()
    assert leader.said == ["audit.set_back"] * 2


def cut_off(url: str, *, through: int) -> None:
    """Remove the newest entries as one would who has the store and no key."""
    store, client = store_of(url), store_of(url)._store.client
    rows = store.oldest("default", behind=(0, 0), limit=100)
    last = rows[through - 1]
    client.delete("kn:{audit:default}:lines")
    for row in rows[:through]:
        client.xadd("kn:{audit:default}:lines", {"e": row.line}, id=f"{row.chain}-{row.seq}")
    made = last.line[len('{"hash":"') :][:64]
    client.hset("kn:{audit:default}:head", mapping={"seq": last.seq, "hash": made})


def forget(url: str) -> None:
    """Make the store forget all of the log but that there is one."""
    client = store_of(url)._store.client
    client.flushall()
    client.sadd("kn:audit-tenants", "default")
