"""Each part's user in Redis may do what the part does, and nothing else."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path

import pytest
import redis
import requests

from kotaemon_node.adapters.redis import RedisApiKeys, RedisAuditStore, connect, keys, rights
from kotaemon_node.adapters.redis.contents import contents, may_hold_values
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.composition.buses import bus_of
from kotaemon_node.composition.sealing import cipher_of, opener_of, tell_keys_changed
from kotaemon_node.domain.credentials import ApiKey, digest_of
from kotaemon_node.domain.errors import Forbidden
from kotaemon_node.ports.cipher import SEALED_MARK, SealedPlace
from kotaemon_node.settings import Settings
from tests.cluster import Cluster
from tests.redis_server import RedisServer
from tests.sealing_parts import MASTER

_LUA = resources.files("kotaemon_node.adapters.redis").joinpath("lua")

_DEBUG = ("--enable-debug-command", "yes")  # so that it is the user who may not


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    file = tmp_path_factory.mktemp("acl") / "users.acl"
    lines = ["user default on nopass ~* &* +@all"]
    lines += [rights.acl_line(role, f">{role}") for role in rights.ROLES]
    file.write_text("\n".join([*lines, ""]))
    started = RedisServer(options=("--appendonly", "no", "--aclfile", str(file), *_DEBUG))
    started.start()
    yield started
    started.remove()


def known_as(server: RedisServer, role: rights.Role) -> str:
    return f"redis://{role}:{role}@127.0.0.1:{server.port}/0"


def as_user(server: RedisServer, role: rights.Role) -> redis.Redis:
    return redis.Redis.from_url(known_as(server, role), decode_responses=True)


def schema() -> list[str]:
    """Return one key for each row of the key schema."""
    rows = re.findall(r"^\| (kn:[^|]*[^| ]|… :\w+) *\|", keys.__doc__ or "", re.M)
    found: list[str] = []
    for row in rows:
        name = found[-1].rpartition(":")[0] + row[2:] if row.startswith("…") else row
        found.append(name.replace("<digest of tid>", "0123456789").replace("<topic>", "turn_log"))
    return [re.sub(r"<[^>]*>", "x", name) for name in found]


def allowed(role: rights.Role, key: str, *, writing: bool) -> bool:
    granted = {"rw"} if writing else {"r", "rw"}
    # Braces are letters in Redis's patterns, and in these.
    return any(
        fnmatchcase(key, pattern)
        for family in rights.FAMILIES
        if family.access(role) in granted
        for pattern in family.patterns
    )


def test_the_table_covers_every_key_of_the_schema() -> None:
    named = [key for key in schema() if not key.endswith((":signal", ":losses"))]
    uncovered = [
        key
        for key in named
        if not any(allowed(role, key, writing=True) for role in ("worker", "coordinator", "backup"))
    ]

    assert len(named) > 60
    assert uncovered == []


def test_what_a_worker_must_not_write_no_pattern_covers_by_chance() -> None:
    for key in (
        keys.bus("knowledge_updated"),
        keys.knowledge_bases("default"),
        keys.leader("coordinator"),
        keys.leader("coordinator") + ":fence",
    ):
        assert not allowed("worker", key, writing=True)
        assert allowed("coordinator", key, writing=True)
    assert allowed("worker", keys.bus("knowledge_updated"), writing=False)


def test_who_looks_for_what_a_data_key_sealed_reads_all_that_may_hold_it(
    server: RedisServer,
) -> None:
    """Or it stops and says so: what it passes over might be the last thing that needs a key."""
    held = [key for key in schema() if not key.endswith((":signal", ":losses"))]
    held += ["kn:podium:{s}:meta", "kn:audit-tenants-x:{s}:turns"]  # tenants may have such names
    open_to_it = [key for key in held if allowed("backup", key, writing=False)]
    kept = [key for key in held if may_hold_values(key.encode())]
    assert [key for key in kept if key not in open_to_it] == []
    assert {*held[-2:], keys.bus("turn_log"), "kn:good:{x}"} < set(kept)

    admin = redis.Redis(port=server.port)
    for key in held:
        admin.set(key, key)
    backup = connect(known_as(server, "backup"))
    assert {value.decode() for _, value in contents(backup)} == set(kept)
    admin.set("kn:of-another-release", "x")
    with pytest.raises(Forbidden, match="least-rights"):
        list(contents(backup))
    admin.flushdb()


def test_every_command_of_every_script_is_a_workers() -> None:
    called: set[str] = set()
    for script in _LUA.iterdir():
        called |= set(re.findall(r"call\(\s*['\"](\w+)['\"]", script.read_text("utf-8")))
    names = {name.partition("|")[0] for name in rights.COMMANDS["worker"]}

    assert len(called) > 40
    assert {name.lower() for name in called} - names == set()


@pytest.mark.parametrize("role", rights.ROLES)
def test_nobody_may_do_what_harms_all(server: RedisServer, role: rights.Role) -> None:
    client = as_user(server, role)
    assert client.ping()
    for command in (
        *(("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "GET", "*"), ("CONFIG", "SET", "dir", "/tmp")),
        *(("KEYS", "*"), ("DEBUG", "SLEEP", "0"), ("EVAL", "return 1", "0"), ("SHUTDOWN",)),
        *(("ACL", "LIST"), ("ACL", "SETUSER", "x"), ("MONITOR",), ("REPLICAOF", "NO", "ONE")),
        *(("SCRIPT", "FLUSH"), ("CLIENT", "KILL", "x"), ("MODULE", "LIST"), ("SAVE",)),
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.get("not-ours")


def test_a_worker_reads_news_of_knowledge_and_cannot_make_any(server: RedisServer) -> None:
    news, pointer = keys.bus("knowledge_updated"), keys.knowledge_bases("default")
    worker, coordinator = as_user(server, "worker"), as_user(server, "coordinator")
    coordinator.xadd(news, {"k": "default", "v": "{}"})
    coordinator.hset(pointer, "default", "1")

    assert len(worker.xrange(news)) == 1
    assert worker.hget(pointer, "default") == "1"
    # A script that the worker loads itself is bounded by the same rights.
    script = worker.script_load("return redis.call('XADD', KEYS[1], '*', 'k', 'x')")
    for forge in (
        lambda: worker.xadd(news, {"k": "default", "v": "{}"}),
        lambda: worker.delete(news),
        lambda: worker.hset(pointer, "default", "9"),
        lambda: worker.evalsha(script, 1, news),
        lambda: worker.evalsha(script, 0),
    ):
        with pytest.raises(redis.exceptions.ResponseError):
            forge()
    assert len(worker.xrange(news)) == 1


def test_the_sink_of_the_log_opens_texts_with_keys_that_it_only_reads(
    server: RedisServer, tmp_path: Path
) -> None:
    file = tmp_path / "master.keys"
    file.write_text(f"{MASTER}\n")
    settings = Settings(encryption_key_file=file)
    place = SealedPlace("shop", "turn_log message", session="s", turn="t")
    clock = SystemClock()
    pod = connect(known_as(server, "worker"))
    sealed = cipher_of(settings, store=pod, artifacts=None, clock=clock).seal(b"hello", place)

    log = connect(known_as(server, "turn-log"))
    opener = opener_of(settings, store=log, artifacts=None, clock=clock)

    assert sealed.startswith(SEALED_MARK)
    assert opener.open(sealed, place) == b"hello"
    assert opener.seal(b"hello", place) == b"hello"
    with pytest.raises(redis.exceptions.NoPermissionError):
        as_user(server, "turn-log").hset("kn:{sealing:shop}:keys", "x", "y")


def test_who_rotates_keys_tells_the_pods_and_the_log(server: RedisServer) -> None:
    """The user of backups, as which `kotaemon encryption` runs; pods may read what it says."""
    redis_of = {role: connect(known_as(server, role)) for role in ("backup", "worker")}
    bus = bus_of(
        Settings(), store=redis_of["backup"], waiting=redis_of["backup"], clock=SystemClock()
    )
    tell_keys_changed(bus, "shop", clock=SystemClock(), ids=RandomIds())
    [(_, row)] = as_user(server, "worker").xrange(keys.bus("config_updated"))
    assert "data_keys" in str(row)
    for role in ("worker", "coordinator", "backup"):
        logs = RedisAuditStore(connect(known_as(server, role)))
        assert logs.exchange(f"settings/{role}", b"{}") is None
        assert logs.exchange(f"settings/{role}", b"{1}") == b"{}"


def test_a_worker_reads_api_keys_and_makes_none(server: RedisServer) -> None:
    key = ApiKey("k1", digest_of("kn_k1_x"), "default", "admin", "mallory", 0.0, None, "")
    worker = RedisApiKeys(connect(known_as(server, "worker")))
    with pytest.raises(Forbidden, match="as `backup`"):
        worker.add(key)
    client = as_user(server, "worker")
    for forge in (
        lambda: client.hset(keys.API_KEYS, "k1", "{}"),
        lambda: client.set(keys.API_KEYS_STAMP, "x"),
        lambda: client.delete(keys.API_KEYS),
        lambda: client.rename(keys.SESSION_SECRET, keys.API_KEYS),
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            forge()

    RedisApiKeys(connect(known_as(server, "backup"))).add(key)
    assert list(worker.table(None).keys) == ["k1"]
    assert worker.session_secret("what ids are made with") == "what ids are made with"
    with pytest.raises(Forbidden):
        worker.remove("k1")


def test_channels_are_granted_as_keys_are(server: RedisServer) -> None:
    worker = as_user(server, "worker")
    assert worker.publish("kn:default:{s}:signal", "t 1") == 0
    for channel in ("anything", "kn:default:signal"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            worker.publish(channel, "x")
    with pytest.raises(redis.exceptions.NoPermissionError):
        as_user(server, "exporter").publish("kn:default:{s}:signal", "t 1")


@pytest.mark.long
def test_a_whole_cluster_works_as_its_users_and_nothing_is_denied(
    server: RedisServer, tmp_path: Path
) -> None:
    admin = redis.Redis(port=server.port, decode_responses=True)
    admin.acl_log_reset()
    settings = {
        "REDIS_URL": known_as(server, "worker"),
        "COORDINATOR_REDIS_URL": known_as(server, "coordinator"),
    }
    with Cluster(tmp_path / "data", workers=2, plugins="sample", environment=settings) as running:
        session = requests.post(f"{running.url}/v1/sessions", json={}, timeout=30).json()
        turns = f"{running.url}/v1/sessions/{session['session_id']}/turns"
        for message in ("How long does shipping take?", "cancel order 1003", "yes"):
            asked = requests.post(turns, json={"message": message}, timeout=60)
            assert asked.json()["state"] == "done", asked.text
        (running.folder.knowledge / "new.md").write_text("# Gift cards\n\nThey last three years.\n")
        knowledge = f"{running.url}/v1/knowledge/default"
        running.wait_until(
            lambda: requests.get(knowledge, timeout=10).json()["generation"] > 1,
            what="a new generation",
        )
        pid = running.kill("worker-0")
        running.wait_replaced("worker-0", pid)
        running.wait_ready()
        asked = requests.post(turns, json={"message": "I want to talk to a person"}, timeout=60)
        assert asked.json()["state"] == "done", asked.text
        for path in ("jobs", "analytics", "sessions", "faq/drafts", "plugins", "handoffs"):
            assert requests.get(f"{running.url}/v1/{path}", timeout=30).ok, path

    denied = [(row["username"], row["reason"], row["object"]) for row in admin.acl_log(128)]
    assert denied == []
