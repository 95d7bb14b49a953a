"""Backups in a bucket: the same as in a folder, by the address that the command takes."""

from pathlib import Path

import pytest

from kotaemon_node.backup.keeping import prune
from kotaemon_node.backup.shelf import Shelf
from kotaemon_node.cli.backup_places import backups_at
from tests.artifact_stores import TestBucket
from tests.backed_up import BackedUp, quick_disk
from tests.unit.test_backup_keeping import Killed, ManySessions, cluster, killed_after, sessions

__all__ = ["cluster", "quick_disk", "sessions"]


def test_a_bucket_holds_backups_as_a_folder_does(
    cluster: BackedUp, sessions: ManySessions, bucket: TestBucket, tmp_path: Path
) -> None:
    url = f"s3://{bucket.name}/backups"
    with backups_at(url, writes=True, endpoint=bucket.endpoint, region="us-east-1") as store:
        cluster.store = store  # type: ignore[assignment]
        cluster.shelf = Shelf(store)
        cluster.lease_s = 30.0
        first = cluster.back_up()
        sessions.versions["s0"] += 1
        with pytest.raises(Killed):
            cluster.back_up(tell=killed_after(20, "sessions"))
        second = cluster.back_up()
        removed, _ = prune(store, keep=1, holder="p", clock=cluster.clock, lease_s=30.0)

        assert (second.parent, removed) == (first.id, [first.id])
        found = cluster.verified(second)
        assert (found.problems, found.sessions) == ((), 40)
        cluster.restore_sessions(second)
        assert len(sessions.back) == 40
