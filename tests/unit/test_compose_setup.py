"""What `setup` of docker compose makes: a user in Redis for each part, and Redis takes them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from kotaemon_node.adapters.redis import connect
from tests.compose_file import FOLDER, ROOT
from tests.redis_server import free_port
from tests.redis_sets import until

PARTS = ("worker", "coordinator", "backup")
PROGRAM = Path(sys.executable).parent


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    for name in ("cluster", "signing", "redis", "grafana", *PARTS):
        (folder / name).mkdir(parents=True)
    return folder


def set_up(secrets: Path, **environment: str) -> None:
    """Run the very script, with the folder of volumes elsewhere."""
    script = (FOLDER / "setup.sh").read_text("utf-8")
    (secrets.parent / "knowledge").mkdir(exist_ok=True)
    script = script.replace("secrets=/var/lib/kotaemon/secrets", f"secrets={secrets}")
    script = script.replace("/var/lib/kotaemon/knowledge", str(secrets.parent / "knowledge"))
    subprocess.run(
        ["sh", "-c", script],
        env={
            **os.environ,
            "PATH": f"{PROGRAM}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "KNOWLEDGE": "/srv/ours",
            **environment,
        },
        check=True,
        capture_output=True,
        timeout=60,
    )


def files(secrets: Path) -> dict[str, str]:
    return {
        str(path.relative_to(secrets)): path.read_text()
        for path in sorted(secrets.rglob("*"))
        if path.is_file()
    }


def test_each_part_gets_in_as_itself_and_a_second_run_keeps_passwords(secrets: Path) -> None:
    set_up(secrets)
    made = files(secrets)
    passwords = {part: made[f"{part}/redis-password"] for part in PARTS}
    assert len({*passwords.values(), made["redis/password"]}) == 4
    told = made["redis/users.acl"]
    assert not [one for one in (*passwords.values(), made["redis/password"]) if one in told]
    for part in PARTS:
        assert (secrets / part / "redis-password").stat().st_mode & 0o077 == 0
        assert passwords[part] not in made[f"{part}/environment"]

    port, program = free_port(), shutil.which("redis-server")
    assert program
    running = subprocess.Popen(
        [program, "--port", str(port), "--save", "", "--aclfile", secrets / "redis/users.acl"],
        stdout=subprocess.DEVNULL,
    )
    try:
        for part in PARTS:
            url = made[f"{part}/environment"].strip().removeprefix("REDIS_URL=")
            url = url.replace("@redis:6379", f"@127.0.0.1:{port}")
            url = url.replace("/var/lib/kotaemon/secrets/own", str(secrets / part))
            client = connect(url).client
            assert until(client.ping)
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.flushall()
        assert redis.Redis(port=port, password=made["redis/password"]).config_get("port")
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis(port=port).ping()
    finally:
        running.terminate()
        running.wait(30)
    # Again, with a durability that takes one more right: passwords and keys stay.
    set_up(secrets, DURABILITY="fsync")
    again = files(secrets)
    lines = again.pop("redis/users.acl").splitlines()
    assert [line.split()[1] for line in lines] == ["default", *PARTS]
    assert all(line.endswith(" +waitaof") for line in lines[1:])
    del made["redis/users.acl"]
    assert again == made


def test_users_stay_as_they_are_where_one_of_them_cannot_be_written(
    secrets: Path, tmp_path: Path
) -> None:
    """A file that ends midway would shut out the parts that it does not name."""
    users = secrets / "redis/users.acl"
    users.write_text("user default on nopass ~* &* +@all\n")
    before = users.read_text()
    program = tmp_path / "bin" / "kotaemon"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'user worker on #SHA256_OF_THE_PASSWORD_OF_WORKER'\n")
    program.chmod(0o755)

    with pytest.raises(subprocess.CalledProcessError):
        set_up(secrets, PATH=f"{program.parent}:{os.environ['PATH']}")

    assert users.read_text() == before
