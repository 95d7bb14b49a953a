"""The users of a local cluster's Redis: passwords of their own, and a Redis that takes them."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from kotaemon_node.adapters.redis import connect
from kotaemon_node.local import config, redis_users
from kotaemon_node.local.cluster import Cluster
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.settings import Settings
from tests.redis_server import free_port
from tests.redis_sets import until

ASKED = Settings(redis_users=True)
USERS: tuple[redis_users.User, ...] = ("worker", "coordinator", "turn-log", "backup", "default")


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    # A name that a URL and a configuration of supervisord have to write otherwise.
    path = tmp_path / "100% ours & yours"
    path.mkdir()
    return DataFolder(path)


def a_cluster(folder: DataFolder, *, users: bool = True) -> Cluster:
    return Cluster("c1", str(folder.path), free_port(), 8080, "127.0.0.1", 1, "", redis_users=users)


def passwords(folder: DataFolder) -> dict[str, str]:
    files = (folder.path / "keys" / "redis").iterdir()
    return {path.stem: path.read_text().strip() for path in files}


def test_each_has_a_password_of_its_own_which_only_we_may_read_and_which_stays(
    folder: DataFolder,
) -> None:
    assert redis_users.settle(folder, ASKED)
    made = passwords(folder)

    assert set(made) == set(USERS)
    assert len(set(made.values())) == len(USERS)
    assert all(len(password) == 64 for password in made.values())
    kept = folder.path / "keys" / "redis"
    assert kept.stat().st_mode & 0o777 == kept.parent.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in kept.iterdir()} == {0o600}
    assert redis_users.settle(folder, ASKED)
    assert passwords(folder) == made


def test_nobody_is_a_user_unless_asked_for(folder: DataFolder) -> None:
    cluster = a_cluster(folder, users=False)

    assert not redis_users.settle(folder, Settings())
    assert list(folder.path.iterdir()) == []
    for user in USERS:
        assert redis_users.url_of(cluster, user) == f"redis://127.0.0.1:{cluster.redis_port}/0"
    assert "REDIS_URL" not in config.supervisord_config(cluster)


def test_another_s_redis_gets_no_users_from_us(folder: DataFolder) -> None:
    with pytest.raises(LocalError, match="`kotaemon rights"):
        redis_users.settle(folder, Settings(redis_users=True, redis_url="redis://elsewhere/0"))
    theirs = replace(a_cluster(folder), redis_url="redis://elsewhere/0")
    assert redis_users.url_of(theirs, "backup") == "redis://elsewhere/0"


def test_an_emptied_password_is_refused_with_what_to_do(folder: DataFolder) -> None:
    redis_users.settle(folder, ASKED)
    (folder.path / "keys" / "redis" / "worker.password").write_text("\n")

    with pytest.raises(LocalError, match=r"worker\.password holds no password; remove it"):
        redis_users.lines(folder)


def test_redis_lets_each_in_by_its_url_and_nobody_else(folder: DataFolder) -> None:
    redis_users.settle(folder, ASKED)
    folder.redis.mkdir()
    cluster = a_cluster(folder)
    text = config.redis_config(cluster, users=redis_users.lines(folder))
    folder.redis_config.write_text(text)
    assert not [word for word in passwords(folder).values() if word in text]
    server = shutil.which("redis-server")
    assert server
    running = subprocess.Popen([server, "redis.conf"], cwd=folder.path, stdout=subprocess.DEVNULL)
    try:
        for user in USERS:
            client = connect(redis_users.url_of(cluster, user)).client
            assert until(client.ping, timeout_s=30)
            if user == "default":
                assert client.config_get("port")
            else:
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.flushall()
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis(port=cluster.redis_port).ping()
    finally:
        running.terminate()
        running.wait(30)


def test_each_process_is_told_who_it_is_and_no_configuration_holds_a_password(
    folder: DataFolder,
) -> None:
    redis_users.settle(folder, ASKED)
    cluster = replace(a_cluster(folder), build_workers=1, turn_log="file:/tmp/turns.jsonl")

    told = {
        program.name: program.environment.get("REDIS_URL", "").replace("%%", "%")
        for program in config.programs(cluster)
    }

    assert told["coordinator"] == told["build-worker-0"]
    assert told["coordinator"] == redis_users.url_of(cluster, "coordinator")
    assert told["turn-log"] == redis_users.url_of(cluster, "turn-log")
    written = config.supervisord_config(cluster)
    assert not [word for word in passwords(folder).values() if word in written]
