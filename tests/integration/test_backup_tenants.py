"""``kotaemon backup --all-tenants``: each tenant has its own backup, and one comes back alone."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from kotaemon_node.adapters.redis import (
    RedisApiKeys,
    RedisDataKeys,
    RedisPlugins,
    RedisWholeSessions,
    connect,
)
from kotaemon_node.adapters.redis.keys import API_KEYS
from kotaemon_node.adapters.redis.tenants_met import tenants_met
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.cli.backup_places import place_of
from kotaemon_node.cli.backup_tenants import tenants_here
from kotaemon_node.cli.main import app
from kotaemon_node.domain.audit_names import volume_name
from kotaemon_node.domain.credentials import ApiKey, digest_of
from kotaemon_node.domain.data_keys import DataKeyRow
from kotaemon_node.domain.plugin_releases import PluginRow
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.local import cluster as clusters
from kotaemon_node.local.folder import DataFolder
from tests.archived_pods import ArchivedPod
from tests.audit_logs import write
from tests.redis_server import RedisServer

TENANTS = ("default", "acme", "globex", "talker")


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


class Kept:
    """What a cluster keeps, without its programs: Redis, artifacts, documents."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        self.folder = folder
        self.store = connect(server.url)
        self.artifacts = FileArtifactStore(folder / "artifacts")
        self.knowledge = folder / "knowledge"
        self.url = (folder / "backups").as_uri()

    def fill(self) -> None:
        """Give each tenant a key and a session, and all but the last one a document."""
        pod = ArchivedPod(self.store, "pod-0", self.artifacts)
        for tenant in TENANTS:
            RedisApiKeys(self.store).add(key_of(tenant))
            pod.turn("t1", session=SessionKey(tenant, f"s-{tenant}"))
            if tenant != "talker":
                root = self.knowledge if tenant == "default" else self.place_of(tenant)
                root.mkdir(parents=True, exist_ok=True)
                (root / "prices.md").write_text(f"what {tenant} sells")
        RedisApiKeys(self.store).session_secret("the-secret-of-this-cluster")

    def place_of(self, tenant: str) -> Path:
        return self.knowledge / ".tenants" / tenant

    def sessions_of(self, tenant: str) -> RedisWholeSessions:
        return RedisWholeSessions(self.store, tenant=tenant, ttl_s=60, kept_s=60, indexed=False)

    def ids_of(self, tenant: str) -> list[str]:
        return [key.session_id for key in self.sessions_of(tenant).keys()]  # noqa: SIM118

    def keys(self) -> set[str]:
        return set(RedisApiKeys(self.store).table(None).keys)


def key_of(tenant: str) -> ApiKey:
    return ApiKey(f"key-{tenant}", digest_of(tenant), tenant, "admin", "boss", 0.0)


@pytest.fixture
def kept(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kept]:
    redis_server.wipe()
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("ARTIFACT_URL", (tmp_path / "artifacts").as_uri())
    monkeypatch.setenv("KNOWLEDGE_DIR", str(tmp_path / "knowledge"))
    monkeypatch.setenv("BACKUP_URL", (tmp_path / "backups").as_uri())
    monkeypatch.setenv("AUDIT_LOG", "off")
    here = Kept(redis_server, tmp_path)
    here.fill()
    yield here
    here.store.client.close()
    structlog.reset_defaults()  # commands log to streams that end with them


def command(*words: str, exit_code: int = 0) -> Any:
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == exit_code, done.output
    return json.loads(done.stdout)


def test_every_tenant_is_backed_up_and_one_comes_back_alone(
    kept: Kept, redis_server: RedisServer
) -> None:
    made = command("backup", "--all-tenants")
    assert [it["tenant"] for it in made] == list(TENANTS)
    assert [it["sessions"]["sessions"] for it in made] == [1, 1, 1, 1]
    assert [it["documents"]["files"] for it in made] == [1, 1, 1, 0]
    again = command("backup", "--all-tenants")
    assert {it["kind"] for it in again} == {"incremental"}

    listed = command("backup", "list", "--all-tenants")
    assert [it["tenant"] for it in listed] == [it for it in TENANTS for _ in range(2)]
    assert {it["problems"] == [] for it in command("backup", "verify", "--all-tenants")} == {True}
    assert len(command("backup", "prune", "--keep", "1", "--all-tenants")["removed"]) == 4
    assert len(command("backup", "list", "--all-tenants")) == 4

    redis_server.wipe()
    shutil.rmtree(kept.knowledge)
    command("restore", "--tenant", "acme")

    assert tenants_met(kept.store) == {"acme"}
    assert kept.ids_of("acme") == ["s-acme"]
    assert [path.name for path in kept.knowledge.rglob("*.md")] == ["prices.md"]
    assert (kept.place_of("acme") / "prices.md").read_text() == "what acme sells"
    assert kept.keys() == {"key-acme"}

    # And then the rest, in any order: nobody's keys are lost by who came first.
    for tenant in ("globex", "default", "talker"):
        command("restore", "--tenant", tenant)
    assert kept.keys() == {f"key-{tenant}" for tenant in TENANTS}
    assert all(kept.ids_of(tenant) == [f"s-{tenant}"] for tenant in TENANTS)


def test_a_tenants_backup_holds_no_others_key(kept: Kept) -> None:
    command("backup", "--tenant", "acme")

    held = b"".join(path.read_bytes() for path in kept.folder.glob("backups/**/blobs/*/*"))
    assert b"key-acme" in held
    assert b"key-globex" not in held
    assert digest_of("default").encode() not in held


def test_a_tenant_that_comes_back_takes_no_ones_ids_away(kept: Kept) -> None:
    command("backup", "--tenant", "acme")
    kept.store.client.delete("kn:acme:{s-acme}:meta")
    kept.store.client.set("kn:{api-keys}:session-secret", "that which everybody's ids go by now")

    done = command("restore", "--tenant", "acme")

    assert kept.ids_of("acme") == ["s-acme"]
    assert RedisApiKeys(kept.store).session_secret("") == "that which everybody's ids go by now"
    assert any("SESSION_SECRET_FILE" in it for it in done["sessions"]["differs"])


def test_keys_that_were_revoked_stay_so_where_the_tenant_has_others(kept: Kept) -> None:
    command("backup", "--all-tenants")
    keys = RedisApiKeys(kept.store)
    keys.remove("key-acme")
    keys.remove("key-globex")
    keys.add(ApiKey("key-acme-2", digest_of("2"), "acme", "admin", "boss", 0.0))

    command("restore", "--tenant", "acme")
    command("restore")

    assert kept.keys() == {"key-default", "key-talker", "key-acme-2"}


@pytest.mark.parametrize("here", [{}, {"bot": "shop"}], ids=["no-keys", "the-same-id"])
def test_a_tenants_backup_opens_no_other_tenants_door(
    kept: Kept, redis_server: RedisServer, here: dict[str, str]
) -> None:
    """Neither one from before each had its own keys, nor one that somebody wrote by hand."""
    redis_server.wipe()
    rows = {it: row_of(tenant, "theirs") for it, tenant in here.items()}
    if rows:
        kept.store.client.hset(API_KEYS, mapping=rows)
    written = {"mine": "acme", "bot": "acme", "root": "default", "other": "globex"}
    said = {it: row_of(tenant, "written") for it, tenant in written.items()}
    access = json.dumps({"keys": said, "session_secret": ""}).encode()

    differs = kept.sessions_of("acme").put_access(access, is_empty=True)

    found = kept.store.client.hgetall(API_KEYS)
    own = {it: said[it] for it in ("mine", "bot")}
    assert {it.decode(): row.decode() for it, row in found.items()} == own | rows
    assert any("API keys" in it for it in differs)


def test_the_backup_of_the_clusters_own_tenant_brings_all_keys_where_none_are(
    kept: Kept, redis_server: RedisServer
) -> None:
    access = kept.sessions_of("default").access()
    assert access is not None
    redis_server.wipe()

    assert kept.sessions_of("default").put_access(access, is_empty=True) == []
    assert kept.keys() == {f"key-{tenant}" for tenant in TENANTS}


def test_whoever_has_no_more_than_one_thing_that_a_backup_holds_has_a_backup(
    kept: Kept, redis_server: RedisServer
) -> None:
    """Also who was only set up, and whose sessions have all ended."""
    redis_server.wipe()
    RedisApiKeys(kept.store).add(key_of("keyed"))
    write(redis_server.url, 1, tenant="audited")
    RedisDataKeys(kept.store).add(
        DataKeyRow("0011223344556677", "sealed", 1, "master", "d3JhcHBlZA=="), newest=""
    )
    wanted = PluginRow("greeter")
    RedisPlugins(kept.store).change("plugged", "greeter", lambda row: wanted)
    kept.artifacts.put_if_absent(volume_name("moved", 1, 1, 2, "0" * 64), b"lines")
    folders = {"acme", "globex"}  # of documents

    found = tenants_here(place_of(kept.folder, None))

    own = {"keyed", "audited", "sealed", "plugged", "moved"}
    assert found[0] == "default"
    assert set(found) == {"default", *own, *folders}


def row_of(tenant: str, digest: str) -> str:
    return json.dumps({"tenant": tenant, "digest": digest, "role": "admin"})


def spoil_the_folder(kept: Kept) -> None:
    writing = kept.folder / "backups" / "tenants" / "acme"
    shutil.rmtree(writing)
    writing.write_text("no folder any more")


def spoil_redis(kept: Kept) -> None:
    """As where a user lacks a right: Redis refuses what is asked about this tenant."""
    kept.store.client.set("kn:{plugins:acme}:desired", "no hash")


@pytest.mark.parametrize("spoil", [spoil_the_folder, spoil_redis])
def test_trouble_with_one_tenant_is_told_and_the_others_are_saved(
    kept: Kept, spoil: Callable[[Kept], None]
) -> None:
    command("backup", "--all-tenants")
    spoil(kept)

    made = command("backup", "--all-tenants", exit_code=3)

    assert [it["tenant"] for it in made] == ["default", "globex", "talker"]


def test_a_tenant_that_somebody_names_has_its_documents_or_they_are_asked_for(kept: Kept) -> None:
    done = CliRunner().invoke(app, ["backup", "--tenant", "talker"])

    assert done.exit_code == 2
    command("backup", "--tenant", "talker", "--without-documents")


def test_the_folder_that_a_local_cluster_was_given_is_the_one_that_is_backed_up(
    tmp_path: Path,
) -> None:
    data, given = DataFolder(tmp_path / "data"), tmp_path / "documents"
    data.prepare()
    for knowledge in ("", str(given)):
        clusters.save(
            data,
            clusters.settle(
                data, port=1, host="x", workers=1, redis_url="redis://x", knowledge=knowledge
            ),
        )
        own = given if knowledge else data.knowledge
        assert place_of(data.path, None).knowledge == own
        assert place_of(data.path, None, "acme").knowledge == own / ".tenants" / "acme"


def test_one_and_all_are_not_named_together(kept: Kept) -> None:
    for words in ((), ("list",), ("prune",), ("verify",)):
        done = CliRunner().invoke(app, ["backup", *words, "--all-tenants", "--tenant", "acme"])
        assert done.exit_code == 2
    assert not (kept.folder / "backups").exists()
