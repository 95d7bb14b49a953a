"""Backups on a shelf: whole or none, verified, gone on with, and removed when they are too many."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.backup.format import BackupRefused
from kotaemon_node.backup.keeping import prune
from kotaemon_node.domain.errors import CorruptArtifact, Unavailable
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.domain.session_copy import SessionCopy
from kotaemon_node.ports.backup import Head, PutBack
from tests.backed_up import BackedUp, quick_disk
from tests.unit.test_session_copy import copy_of

__all__ = ["quick_disk"]


class ManySessions:
    """``ports.backup.WholeSessions`` in memory: each session has as many turns as it is told."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.read: list[str] = []
        self.back: dict[str, SessionCopy] = {}

    def keys(self) -> Iterator[SessionKey]:
        yield from (SessionKey("default", session_id) for session_id in self.versions)

    def heads(self, keys: Sequence[SessionKey]) -> Sequence[Head | None]:
        return [
            Head("e", version, version, 1_700_000_000_000 + version)
            for version in (self.versions[key.session_id] for key in keys)
        ]

    def copy(self, key: SessionKey) -> SessionCopy | None:
        self.read.append(key.session_id)
        version = self.versions[key.session_id]
        rows = [b'{"turn":%d}' % number for number in range(version)]
        meta = {"epoch": "e", "fence": str(version), "active_ms": str(1_700_000_000_000 + version)}
        return copy_of(rows, key=key, meta=meta)

    def deleted(self, keys: Sequence[SessionKey]) -> Sequence[bool]:
        return [False] * len(keys)

    def put_back(self, copy: SessionCopy, *, epoch: str) -> PutBack:
        self.back[copy.key.session_id] = copy
        return "ok"

    def put_mark(self, copy: SessionCopy) -> PutBack:
        return "ok"

    def access(self) -> bytes | None:
        return None

    def put_access(self, access: bytes, *, is_empty: bool) -> Sequence[str]:
        raise NotImplementedError

    def known(self, key: SessionKey) -> bool:
        return key.session_id in self.back


@pytest.fixture
def sessions() -> ManySessions:
    found = ManySessions()
    found.versions = {f"s{number}": 1 + number % 3 for number in range(40)}
    return found


@pytest.fixture
def cluster(sessions: ManySessions, tmp_path: Path) -> BackedUp:
    knowledge = tmp_path / "knowledge"
    (knowledge / "faq").mkdir(parents=True)
    (knowledge / "returns.md").write_text("Thirty days.")
    (knowledge / "faq" / "lamps.md").write_text("Lamps are bright.")
    (knowledge / "half.part").write_text("not yet")
    (knowledge / ".probes.yaml").write_text("probes: []")
    artifacts = FileArtifactStore(tmp_path / "artifacts")
    return BackedUp(sessions, artifacts, tmp_path / "backups", documents=knowledge)


class Killed(BaseException):
    """Ends a backup as a kill would: nothing is tidied up after it."""


def killed_after(count: int, kind: str):  # type: ignore[no-untyped-def]
    left = [count]

    def tell(what: str, more: int) -> None:
        left[0] -= more if what == kind else 0
        if left[0] <= 0:
            raise Killed

    return tell


def test_a_backup_that_is_killed_is_none_and_the_next_one_goes_on(
    cluster: BackedUp, sessions: ManySessions
) -> None:
    first = cluster.back_up()
    sessions.versions = {name: version + 1 for name, version in sessions.versions.items()}
    with pytest.raises(Killed):
        cluster.back_up(tell=killed_after(20, "sessions"))

    assert cluster.shelf.ids() == [first.id]
    assert cluster.verified(first).problems == ()
    sessions.read.clear()
    second = cluster.back_up()

    assert second.parent == first.id
    assert 0 < len(sessions.read) < 40
    assert cluster.verified(second).sessions == 40
    assert cluster.files("unfinished") == []
    cluster.restore_sessions(second)
    assert {name: len(copy.turns) for name, copy in sessions.back.items()} == sessions.versions


def test_what_lies_there_is_for_its_owner_alone(cluster: BackedUp) -> None:
    cluster.back_up()
    modes = {path.stat().st_mode & 0o777 for path in cluster.files()}
    assert modes == {0o600}


def test_a_change_of_any_byte_is_found_and_a_full_backup_mends_it(
    cluster: BackedUp, sessions: ManySessions
) -> None:
    backup = cluster.back_up()
    assert backup.sessions is not None
    row = next(cluster.shelf.sessions(backup.sessions))
    path = cluster.backups / "blobs" / row.pack[:2] / row.pack
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))

    found = cluster.verified(backup)

    assert any(row.pack in problem for problem in found.problems)
    done = cluster.restore_sessions(backup)
    assert done.damaged  # and the others came back
    assert 0 < done.restored < 40
    assert cluster.verified(cluster.back_up("incremental")).problems != ()
    cluster.back_up("full")
    assert cluster.verified(backup).problems == ()


def test_a_file_that_is_missing_is_found(cluster: BackedUp) -> None:
    backup = cluster.back_up()
    row = next(cluster.shelf.files(backup.documents))
    (cluster.backups / "blobs" / row.sha256[:2] / row.sha256).unlink()
    assert any("is missing" in problem for problem in cluster.verified(backup).problems)


def test_a_manifest_that_was_changed_is_no_backup(cluster: BackedUp) -> None:
    good = cluster.back_up()
    bad = cluster.back_up("full")
    path = cluster.backups / "backups" / f"{bad.id}.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "written_bytes": 1}))

    with pytest.raises(CorruptArtifact, match="checksum"):
        cluster.shelf.backup(bad.id)
    assert cluster.back_up().parent == good.id


def test_a_manifest_of_a_newer_program_says_so(cluster: BackedUp) -> None:
    backup = cluster.back_up()
    path = cluster.backups / "backups" / f"{backup.id}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2, "product": "9.1"}))
    with pytest.raises(Unavailable, match=r"format 2.*9\.1"):
        cluster.shelf.backup(backup.id)


def test_prune_keeps_what_newer_backups_need_of_older_ones(
    cluster: BackedUp, sessions: ManySessions, tmp_path: Path
) -> None:
    assert cluster.documents is not None
    cluster.back_up()
    for number in range(3):
        sessions.versions["s0"] += 1
        (cluster.documents / "returns.md").write_text(f"{number} days.")
        cluster.back_up()
    ids, blobs = cluster.shelf.ids(), len(cluster.files("blobs"))

    removed, count = prune(
        cluster.store, keep=1, holder="prune", clock=SystemClock(), lease_s=cluster.lease_s
    )

    assert (removed, cluster.shelf.ids()) == (ids[:-1], ids[-1:])
    assert len(cluster.files("blobs")) == blobs - count < blobs
    newest = cluster.shelf.backup(ids[-1])
    assert cluster.verified(newest).problems == ()
    assert cluster.verified(newest).sessions == 40
    again = tmp_path / "again"
    cluster.restore_knowledge(newest, FileArtifactStore(tmp_path / "b"), again)
    assert (again / "returns.md").read_text() == "2 days."
    found = {str(it.relative_to(again)) for it in again.rglob("*") if it.is_file()}
    assert found == {"returns.md", "faq/lamps.md", ".probes.yaml"}


def test_prune_removes_nothing_where_it_cannot_tell_what_is_needed(cluster: BackedUp) -> None:
    cluster.back_up()
    second = cluster.back_up("full")
    assert second.documents is not None
    index = second.documents.index[0]
    (cluster.backups / "blobs" / index[:2] / index).unlink()
    before = cluster.files()
    with pytest.raises(CorruptArtifact):
        prune(cluster.store, keep=1, holder="p", clock=SystemClock(), lease_s=60)
    assert [it for it in cluster.files() if "in-use" not in it.parts] == before


def test_two_do_not_write_to_one_destination(cluster: BackedUp) -> None:
    cluster.lease_s = 0.2
    other = f"{int(SystemClock().now_s() * 1000) + 10_000_000:014d}"
    cluster.store.put_if_absent(f"in-use/{other}.somebody", b"")
    with pytest.raises(BackupRefused, match="somebody"):
        cluster.back_up()
    cluster.store.delete(f"in-use/{other}.somebody")
    # Who was killed is not waited for longer than his lease.
    cluster.store.put_if_absent("in-use/00000000000001.somebody", b"")
    cluster.lease_s = 60
    cluster.back_up()
    assert cluster.files("in-use") == []


def test_documents_that_differ_stay_and_a_missing_folder_is_told(
    cluster: BackedUp, tmp_path: Path
) -> None:
    backup = cluster.back_up()
    assert cluster.documents is not None
    (cluster.documents / "returns.md").write_text("Sixty days.")
    cluster.restore_knowledge(backup, cluster.artifacts, cluster.documents)
    assert (cluster.documents / "returns.md").read_text() == "Sixty days."
    cluster.documents = tmp_path / "nowhere"
    with pytest.raises(BackupRefused, match="--without-documents"):
        cluster.back_up()


def test_a_generation_of_an_emptied_store_gives_way_only_where_that_is_asked_for(
    cluster: BackedUp, tmp_path: Path
) -> None:
    first, second, text = (
        "tenants/default/kb/default/manifests/0000000001.json",
        "tenants/default/kb/default/manifests/0000000002.json",
        "tenants/default/kb/default/held/note.json",
    )
    for name in (first, second, text):
        cluster.artifacts.put_if_absent(name, b"as it was")
    backup = cluster.back_up()
    assert backup.artifacts is not None
    assert backup.artifacts.generations == {"default": 2}
    begun_anew, folder = FileArtifactStore(tmp_path / "anew"), tmp_path / "folder"
    for name in (first, text):
        begun_anew.put_if_absent(name, b"another")

    done = cluster.restore_knowledge(backup, begun_anew, folder)
    assert sorted(done.differs) == [text, first]
    assert (begun_anew.get(first), begun_anew.get(second)) == (b"another", b"as it was")
    assert done.floors == {"default": 2}

    done = cluster.restore_knowledge(backup, begun_anew, folder, replaces=True)
    assert done.differs == [text]
    assert begun_anew.get(first) == b"as it was"
    # Pods may serve what gave way: nothing that they serve has the number that comes next.
    assert done.floors == {"default": 3}
