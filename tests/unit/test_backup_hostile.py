"""Backups that others wrote to, and programs that stood still: nothing goes where it must not."""

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.backup.format import (
    Backup,
    BackupRefused,
    FileRow,
    SessionRow,
    file_rows,
    packed_rows,
    session_rows,
)
from kotaemon_node.backup.keeping import prune
from kotaemon_node.backup.leading import leading
from kotaemon_node.backup.writing import Sole
from kotaemon_node.cli.main import app
from kotaemon_node.domain.errors import CorruptArtifact, Unavailable
from tests.backed_up import BackedUp, quick_disk
from tests.unit.test_backup_keeping import cluster, sessions

__all__ = ["cluster", "quick_disk", "sessions"]

SUM = hashlib.sha256(b"evil").hexdigest()
LONG = "猫" * 84 + ".md"  # 255 bytes, as many as a name may have


class LateClock(SystemClock):
    """Stands still whenever it is told, as a program that was stopped."""

    late_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.late_s


def with_documents(cluster: BackedUp, backup: Backup, rows: Sequence[FileRow]) -> Backup:
    """Return the backup with other documents, as somebody who may write there could make it."""
    cluster.store.put_if_absent(f"blobs/{SUM[:2]}/{SUM}", b"evil")
    index = packed_rows(rows)
    sha256 = hashlib.sha256(index).hexdigest()
    cluster.store.put_if_absent(f"blobs/{sha256[:2]}/{sha256}", index)
    assert backup.documents is not None
    return replace(backup, documents=replace(backup.documents, index=(sha256,)))


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "a//evil", "", "a\0b"])
def test_no_name_of_a_document_leads_out_of_the_folder(
    cluster: BackedUp, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "restored" / "knowledge"
    hostile = with_documents(cluster, cluster.back_up(), [FileRow(name, SUM, 4)])
    with pytest.raises(CorruptArtifact, match="not the name"):
        cluster.restore_knowledge(hostile, FileArtifactStore(tmp_path / "a"), folder)
    assert not list(tmp_path.rglob("*evil*"))


def test_what_is_in_the_way_of_a_document_stays_and_the_others_come_back(
    cluster: BackedUp, tmp_path: Path
) -> None:
    folder, elsewhere = tmp_path / "restored", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "link").symlink_to(elsewhere)
    (folder / "file").write_text("a file where the backup has a folder")
    names = ["file/below/x.md", "link/x.md", "new/x.md", f"new/{LONG}"]
    backup = with_documents(cluster, cluster.back_up(), [FileRow(it, SUM, 4) for it in names])

    cluster.restore_knowledge(backup, FileArtifactStore(tmp_path / "a"), folder)

    assert list(elsewhere.iterdir()) == []
    assert (folder / "file").is_file()
    assert sorted(it.name for it in (folder / "new").iterdir()) == ["x.md", LONG]


@pytest.mark.parametrize(
    "name", ["tenants/other/kb/b/texts/x.txt", "tenants/default/kb/b", "sessions/x/y/z/u/v"]
)
def test_only_artifacts_of_its_own_tenant_come_back(
    cluster: BackedUp, tmp_path: Path, name: str
) -> None:
    backup = with_documents(cluster, cluster.back_up(), [FileRow(name, SUM, 4)])
    store = FileArtifactStore(tmp_path / "a")
    with pytest.raises(CorruptArtifact, match="artifact"):
        cluster.restore_knowledge(replace(backup, artifacts=backup.documents), store, tmp_path)
    assert list(store.list("")) == []


@pytest.mark.parametrize(("tenant", "sid"), [("default", "a}:b"), ("a/b", "s"), ("default", "..")])
def test_ids_of_sessions_are_ids(tenant: str, sid: str) -> None:
    row = SessionRow(tenant, sid, "e", 1, 1, 1, archived=False, pack=SUM, offset=0, size_bytes=1)
    with pytest.raises(CorruptArtifact, match="names no session"):
        list(session_rows(packed_rows([row])))


def test_an_index_is_read_a_piece_at_a_time_and_whole_or_not() -> None:
    rows = [FileRow(f"d/{number:06d}", SUM, number) for number in range(5_000)]
    packed = packed_rows(rows)
    assert list(file_rows(packed)) == rows
    assert list(file_rows(packed_rows([]))) == []
    for spoilt in (packed[:-9], packed[:9], b"", b"no", zlib.compress(b"[" * 10_000_000)):
        with pytest.raises(CorruptArtifact):
            list(file_rows(spoilt))


def test_a_backup_of_another_cluster_is_not_gone_on_from(cluster: BackedUp) -> None:
    first = cluster.back_up()
    assert cluster.shelf.newest(["sessions"], cluster="c") == first
    assert cluster.shelf.newest(["sessions"], cluster="another") is None


def test_a_manifest_under_another_name_is_no_backup(cluster: BackedUp) -> None:
    backup = cluster.back_up()
    cluster.store.put_if_absent("backups/20990101T000000000Z-aaaaaa.json", backup.to_json())
    with pytest.raises(CorruptArtifact, match=backup.id):
        cluster.shelf.backup("20990101T000000000Z-aaaaaa")
    with pytest.raises(BackupRefused, match=backup.id):
        cluster.shelf.backup("20990101T000000000Z-bbbbbb")


def test_who_stood_still_has_lost_the_right_and_does_not_get_it_back(cluster: BackedUp) -> None:
    clock = LateClock()
    sole = Sole(cluster.store, holder="me", clock=clock, lease_s=1.0)
    clock.wait = lambda event, timeout_s: event.wait(0.01)  # type: ignore[method-assign]
    with sole.held():
        before = cluster.files("in-use")
        clock.late_s = 1_000.0  # for longer than its lease, and then it goes on
        until(lambda: cluster.files("in-use") != before)
        SystemClock().sleep(0.1)
        with pytest.raises(Unavailable, match="run the same command again"):
            sole.require()


def test_prune_that_lost_its_right_removes_nothing_more(cluster: BackedUp) -> None:
    for _ in range(2):
        cluster.back_up("full")
    clock, before = LateClock(), cluster.files("blobs")
    cluster.store.put_if_absent(f"blobs/{SUM[:2]}/{SUM}", b"evil")
    listed = cluster.store.list

    def standing_still(prefix: str):  # type: ignore[no-untyped-def]
        clock.late_s += 1_000.0 if prefix.startswith("blobs/") else 0.0
        return listed(prefix)

    cluster.store.list = standing_still  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        prune(cluster.store, keep=1, holder="p", clock=clock, lease_s=60)
    assert set(before) < set(cluster.files("blobs"))


class Lead:
    """``leading.Deposing``: renewals answer what they are told to."""

    def __init__(self, *fences: int | None) -> None:
        self.fences = list(fences)
        self.released = False
        self.asked = 0

    def depose(self) -> str | None:
        return None

    def acquire(self, holder: str, *, ttl_s: float) -> int | None:
        self.asked += 1
        return self.fences.pop(0) if len(self.fences) > 1 else self.fences[0]

    def release(self, holder: str) -> None:
        self.released = True


def until(holds: Callable[[], bool]) -> None:
    clock, end_s = SystemClock(), SystemClock().monotonic_s() + 60
    while not holds():
        assert clock.monotonic_s() < end_s
        clock.sleep(0.01)


@pytest.mark.parametrize(("fences", "lost"), [((1, 1), False), ((1, 2), False), ((1, 3), True)])
def test_a_restore_during_which_another_led_says_so(fences: tuple[int, ...], *, lost: bool) -> None:
    lead, clock = Lead(*fences), SystemClock()
    clock.wait = lambda event, timeout_s: event.wait(0.01)  # type: ignore[method-assign]
    told: AbstractContextManager[object] = pytest.raises(Unavailable) if lost else nullcontext()
    with told, leading(lead, holder="restore", clock=clock):
        until(lambda: lead.asked > 2 - lost)
    assert lead.released


def test_a_damaged_manifest_hides_no_other_backup_and_a_part_that_lacks_is_told(
    cluster: BackedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The runner closes what logs would go to from here on.
    monkeypatch.setattr(structlog, "configure", lambda **_: None)
    good, bad = cluster.back_up(what=["sessions"]), cluster.back_up("full")
    (cluster.backups / "backups" / f"{bad.id}.json").write_text("{}")
    at = ["--from", cluster.backups.as_uri()]

    listed = CliRunner().invoke(app, ["backup", "list", *at])
    assert (good.id in listed.stdout, bad.id in listed.stderr) == (True, True)
    verified = CliRunner().invoke(app, ["backup", "verify", "--all", "--json", *at])
    assert verified.exit_code == 1
    assert [bool(it["problems"]) for it in json.loads(verified.stdout)] == [False, True]
    lacking = CliRunner().invoke(app, ["restore", "--what", "knowledge", "--at", good.id, *at])
    assert lacking.exit_code == 2
    assert "has no knowledge" in lacking.stderr
