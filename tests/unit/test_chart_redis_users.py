"""The bundled Redis knows each part as a user of its own, with the rights of the table."""

import os
import subprocess
from pathlib import Path

import pytest
import redis

from scripts import redis_users
from tests.helm_chart import EXAMPLES, F, containers, environment, one, pods, rendered
from tests.redis_server import free_port
from tests.redis_sets import until

ALL_ON = next(path for path in EXAMPLES if path.name == "all-values.yaml")
PARTS = {
    f"StatefulSet {F}-worker": "worker",
    f"StatefulSet {F}-coordinator": "coordinator",
    f"Deployment {F}-build-worker": "coordinator",
    f"Deployment {F}-turn-log": "turn-log",
    f"CronJob {F}-backup-full": "backup",
}


def test_the_file_of_the_chart_is_what_the_table_says() -> None:
    assert redis_users.FILE.read_text("utf-8") == redis_users.text(), (
        "python -m scripts.redis_users"
    )


def test_each_part_has_its_own_user_and_nobody_the_password_of_all() -> None:
    found = dict(pods(rendered(ALL_ON)))
    seen = {}
    for pod, spec in found.items():
        for container in containers(spec):
            told = environment(container)
            if "REDIS_URL" in told:
                secret = told["REDIS_PASSWORD"]["secretKeyRef"]["key"]
                user = told["REDIS_URL"].removeprefix("redis://").partition(":")[0]
                assert secret == f"redis-{user}-password", pod
                seen[pod] = user

    assert PARTS.items() <= seen.items()
    assert {"worker", "coordinator", "turn-log", "backup"} == set(seen.values())


def test_the_containers_command_starts_a_redis_with_these_users(tmp_path: Path) -> None:
    """The very script of the pod, with other folders."""
    spec = dict(pods(rendered()))[f"StatefulSet {F}-redis"]
    (container,) = containers(spec)
    config = one(rendered(), "ConfigMap", f"{F}-redis")["data"]
    port = free_port()
    (tmp_path / "redis").mkdir()
    (tmp_path / "passwords").mkdir()
    plain = config["redis.conf"].replace("port 6379", f"port {port}")
    (tmp_path / "redis" / "redis.conf").write_text(plain.replace("/data", str(tmp_path)))
    (tmp_path / "redis" / "users").write_text(config["users"])
    for user in redis_users.ROLES:
        (tmp_path / "passwords" / f"redis-{user}-password").write_text(f"of{user}")
    script = container["command"][-1]
    script = script.replace("/etc/kotaemon/redis-passwords", str(tmp_path / "passwords"))
    script = script.replace("/etc/kotaemon/redis", str(tmp_path / "redis"))
    script = script.replace("/tmp/redis.conf", str(tmp_path / "own.conf"))

    running = subprocess.Popen(
        ["sh", "-ec", script],
        env={**os.environ, "REDISCLI_AUTH": "ofall"},
        stdout=subprocess.DEVNULL,
    )
    try:
        for user in redis_users.ROLES:
            client = redis.Redis(port=port, username=user, password=f"of{user}")
            assert until(client.ping, timeout_s=30)
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.flushall()
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis(port=port).ping()
        assert redis.Redis(port=port, password="ofall").config_get("port") == {"port": str(port)}
    finally:
        running.terminate()
        running.wait(30)
