"""Plugins in backups: what is wanted of them and their bundles come back, and undo nothing."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import RedisPlugins, RedisStore, connect
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.backup.format import Backup, blob_name
from kotaemon_node.backup.keeping import prune
from kotaemon_node.backup.plugins import PluginsRestoring
from kotaemon_node.backup.restoring import Restored
from kotaemon_node.domain.artifact_names import bundle_name
from kotaemon_node.domain.plugin_bundle import digest_of
from kotaemon_node.domain.plugin_releases import PluginRow, Release
from kotaemon_node.ports.artifacts import ArtifactStore
from tests.backed_up import TENANT, BackedUp, no_words, whole_sessions
from tests.redis_server import RedisServer

FIRST, SECOND = b"a bundle", b"the bundle after it"


def release(raw: bytes) -> Release:
    return Release(bundle=digest_of(raw), key_id="k", signature="00")


ROW = PluginRow(
    "orders",
    stable=release(FIRST),
    next=release(SECOND),
    rollout_percent=20.0,
    changed_by="ann",
)


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    redis_server.wipe()
    store = connect(redis_server.url)
    yield store
    store.client.close()


@pytest.fixture
def cluster(store: RedisStore, tmp_path: Path) -> BackedUp:
    artifacts = FileArtifactStore(tmp_path / "artifacts")
    for raw in (FIRST, SECOND):
        artifacts.put_if_absent(bundle_name(TENANT, digest_of(raw)), raw)
    plugins = RedisPlugins(store)
    plugins.change(TENANT, "orders", lambda row: ROW)
    return BackedUp(whole_sessions(store), artifacts, tmp_path / "backups", plugins=plugins)


def restored(cluster: BackedUp, backup: Backup, onto: ArtifactStore) -> Restored:
    assert cluster.plugins is not None
    return PluginsRestoring(cluster.shelf, cluster.plugins, onto, tell=no_words).run(backup)


def test_an_emptied_cluster_has_its_plugins_again(
    cluster: BackedUp, store: RedisStore, redis_server: RedisServer, tmp_path: Path
) -> None:
    backup = cluster.back_up()
    assert not cluster.verified(backup).problems
    assert cluster.back_up("incremental").plugins == backup.plugins
    redis_server.wipe()

    empty = FileArtifactStore(tmp_path / "other")
    done = restored(cluster, backup, empty)

    assert (done.restored, done.there, done.damaged) == (1, 0, [])
    assert cluster.plugins is not None
    assert cluster.plugins.read(TENANT).rows == {"orders": ROW}
    for raw in (FIRST, SECOND):
        assert empty.get(bundle_name(TENANT, digest_of(raw))) == raw
    again = restored(cluster, backup, empty)
    assert (again.restored, again.there, again.differs) == (0, 1, [])


def test_what_was_changed_since_stays_and_is_told(cluster: BackedUp) -> None:
    backup = cluster.back_up()
    assert cluster.plugins is not None
    newer = replace(ROW, enabled=False)
    cluster.plugins.change(TENANT, "orders", lambda row: newer)

    done = restored(cluster, backup, cluster.artifacts)

    assert (done.restored, done.there, done.differs) == (0, 1, ["the plugin orders"])
    assert cluster.plugins.read(TENANT).rows == {"orders": newer}


def test_pruning_keeps_bundles_that_a_kept_backup_needs(cluster: BackedUp) -> None:
    cluster.back_up()
    backup = cluster.back_up("incremental")
    prune(cluster.store, keep=1, holder="h", clock=cluster.clock, lease_s=60)
    assert all(cluster.store.get(blob_name(one)) for one in backup.plugins)
    assert len(backup.plugins) == 3


def test_a_damaged_bundle_is_told_and_the_rest_comes_back(
    cluster: BackedUp, redis_server: RedisServer, tmp_path: Path
) -> None:
    backup = cluster.back_up()
    cluster.store.delete(blob_name(digest_of(SECOND)))
    assert cluster.verified(backup).problems  # `verify` finds it before anybody needs it
    redis_server.wipe()
    empty = FileArtifactStore(tmp_path / "other")
    done = restored(cluster, backup, empty)
    assert len(done.damaged) == 1
    assert empty.get(bundle_name(TENANT, digest_of(FIRST))) == FIRST


def test_a_backup_without_plugins_says_nothing_of_them(cluster: BackedUp) -> None:
    assert cluster.plugins is not None
    cluster.plugins.change(TENANT, "orders", lambda row: None)
    backup = cluster.back_up()
    # So a program from before plugins were in backups reads it.
    assert "plugins" not in json.loads(backup.to_json())
    assert Backup.from_json(backup.to_json()) == backup
    assert restored(cluster, backup, cluster.artifacts) == Restored()
