"""A backup has the audit log, and what comes back of it is proved as before."""

from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.audit_moving import AuditMoving
from kotaemon_node.adapters.redis import RedisAuditStore, connect
from kotaemon_node.adapters.signing import Ed25519Signer, TrustedKeys
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.audit_log.findings import Verification
from kotaemon_node.audit_log.verifying import AuditVerifier
from kotaemon_node.backup import audit as audit_part
from kotaemon_node.backup.audit import AuditCopying, AuditRestoring
from kotaemon_node.backup.format import Backup, FileRow, packed_rows
from kotaemon_node.backup.keeping import prune, verify
from kotaemon_node.backup.knowledge import KnowledgeCopying
from kotaemon_node.backup.making import Making, Source
from kotaemon_node.backup.sessions import SessionsCopying
from kotaemon_node.backup.shelf import Shelf
from kotaemon_node.backup.writing import Writer
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.ports.audit import NoAuditLog
from tests.audit_logs import KEY, TENANT, NoMovingCounts, entries_of, store_of, write
from tests.backed_up import no_words, whole_sessions
from tests.redis_server import RedisServer

SIGNER = Ed25519Signer.of_seed(b"s" * 32)


class Kept:
    """A cluster's audit log in both stores, and the place of its backups."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.artifacts = FileArtifactStore(folder / "artifacts")
        self.backups = FileArtifactStore(folder / "backups")
        self.shelf = Shelf(self.backups)

    def sweep(self, *, moved_after_s: float) -> None:
        AuditMoving(
            store_of(self.server.url),
            self.artifacts,
            signer=SIGNER,
            verifier=TrustedKeys([SIGNER.public_key]),
            log=NoAuditLog(),
            leads=lambda: True,
            clock=SystemClock(),
            counts=NoMovingCounts(),
            kept_s=0,
            moved_after_s=moved_after_s,
        ).sweep()

    def back_up(self) -> Backup:
        redis = connect(self.server.url)
        source = Source(
            SessionsCopying(
                whole_sessions(redis),
                self.artifacts,
                tenant=TENANT,
                clock=SystemClock(),
                pause_s=0,
            ),
            KnowledgeCopying(self.artifacts, documents=None, tenant=TENANT),
            product="1",
            cluster="c",
            tenant=TENANT,
            audit=AuditCopying(RedisAuditStore(redis), self.artifacts, tenant=TENANT),
        )
        making = Making(source, self.backups, clock=SystemClock(), ids=RandomIds())
        return making.run(kind=None, what=("sessions",), tell=no_words, lease_s=60)

    def lose_all(self) -> None:
        self.server.wipe()
        self.artifacts = FileArtifactStore(self.folder / "artifacts again")

    def restoring(self) -> AuditRestoring:
        return AuditRestoring(self.shelf, store_of(self.server.url), self.artifacts, tell=no_words)

    def verify(self) -> Verification:
        return AuditVerifier(
            store_of(self.server.url),
            self.artifacts,
            keys=[KEY],
            verifier=TrustedKeys([SIGNER.public_key]),
        ).verify(TENANT)


@pytest.fixture
def kept(server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A log of volumes, an anchor, and newest lines of several pieces."""
    monkeypatch.setattr(audit_part, "_LINES", 4)
    kept = Kept(server, tmp_path)
    write(server.url, 9)
    kept.sweep(moved_after_s=0)
    write(server.url, 10)
    kept.sweep(moved_after_s=3600)
    return kept


def told(found: Verification) -> list[tuple[str, int]]:
    return [(one.kind, one.seq) for one in found.findings]


def test_after_a_loss_of_everything_the_log_is_whole_and_goes_on(kept: Kept) -> None:
    """Volumes, what was signed for, and the newest lines: then others are written behind them."""
    made = kept.back_up()
    assert verify(kept.backups, made.id, no_words).problems == ()
    kept.lose_all()

    looked = kept.restoring().look(made)
    done = kept.restoring().run(made)
    assert (done.restored, done.there, done.damaged, done.differs) == (looked.restored, 0, [], [])
    found = kept.verify()
    assert (told(found), found.entries, found.volumes) == ([], 20, 1)

    write(kept.server.url, 3)
    assert entries_of(kept.server.url)[-1].seq == 23
    assert told(kept.verify()) == []
    again = kept.restoring().run(made)
    assert (again.restored, again.differs) == (0, [])


def test_where_another_log_was_begun_that_stays_and_the_gap_is_named(kept: Kept) -> None:
    """What is there is never replaced; the verifier says what the loss cost."""
    made = kept.back_up()
    kept.lose_all()
    write(kept.server.url, 2)
    before = entries_of(kept.server.url)

    done = kept.restoring().run(made)

    assert len(done.differs) == 1
    assert entries_of(kept.server.url) == before
    assert {kind for kind, _ in told(kept.verify())} == {"truncated", "begun_again"}


def test_lines_that_came_back_are_put_once(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore that is run again, also of a log of one piece, finds it there and leaves it."""
    monkeypatch.setattr(audit_part, "_LINES", 100)
    made = kept.back_up()
    kept.lose_all()
    assert kept.restoring().run(made).restored == 4  # volume, its note, anchor, lines
    again = kept.restoring().run(made)
    assert (again.restored, again.there, again.differs) == (0, 4, [])


def test_an_incremental_backup_copies_what_is_new_and_pruning_spares_it(kept: Kept) -> None:
    """A volume is copied once; what a backup needs stays."""
    first = kept.back_up()
    write(kept.server.url, 2)
    second = kept.back_up()
    assert first.audit is not None
    assert second.audit is not None
    # The volume, its note and the anchor are named as before; the newest lines are copied anew.
    assert second.audit.files - second.audit.copied == 3
    prune(kept.backups, keep=1, holder="t", clock=SystemClock(), lease_s=60)
    kept.lose_all()
    kept.restoring().run(second)
    assert (told(kept.verify()), kept.verify().entries) == ([], 22)


def test_a_cluster_without_a_log_has_none_in_its_backup(
    server: RedisServer, tmp_path: Path
) -> None:
    """And such a manifest is read by programs that know no audit log in backups."""
    made = Kept(server, tmp_path).back_up()
    assert made.audit is None
    assert b'"audit"' not in made.to_json()


def test_a_backup_cannot_bring_in_anything_else(kept: Kept) -> None:
    """Whoever writes to the destination puts nothing beside the log, nor into another tenant's."""
    made = kept.back_up()
    assert made.audit is not None
    row = next(kept.shelf.files(made.audit))
    writer = Writer(kept.backups, trusts=False)
    for name in ("tenants/default/kb/default/manifests/1", row.name.replace(TENANT, "shop", 1)):
        index = writer.put(packed_rows([FileRow(name, row.sha256, row.size_bytes)]))
        forged = replace(made, audit=replace(made.audit, index=(index,)))
        with pytest.raises(CorruptArtifact, match="no part of the tenant's audit log"):
            kept.restoring().run(forged)
