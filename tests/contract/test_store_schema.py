"""A store that a newer program has written to is refused in words, before anything is touched."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import connect, keys, rights
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.schema import SCHEMA, SchemaTooNew, check_schema
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.local.ports import choose_block
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
TOLD = f"Redis holds data of schema {SCHEMA + 1}; this program knows {SCHEMA}."


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    started = RedisServer(options=("--appendonly", "no"))
    started.start()
    yield started
    started.remove()


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    opened = connect(server.url)
    opened.client.flushall()
    yield opened
    opened.client.close()


def test_an_empty_store_gets_the_number_and_keeps_it(store: RedisStore) -> None:
    check_schema(store)
    check_schema(store)

    assert store.client.get(keys.SCHEMA) == str(SCHEMA).encode()


@pytest.mark.parametrize("said", [str(SCHEMA + 1), "0", "", "next"])
def test_a_number_that_is_not_known_is_refused_and_left_as_it_is(
    store: RedisStore, said: str
) -> None:
    store.client.set(keys.SCHEMA, said)

    with pytest.raises(SchemaTooNew, match="this program knows"):
        check_schema(store)

    assert store.client.get(keys.SCHEMA) == said.encode()


def test_a_store_that_is_away_is_no_answer() -> None:
    with pytest.raises(StoreUnavailable):
        check_schema(connect("redis://127.0.0.1:1/0"))


def test_rights_of_before_the_number_keep_nobody_out(store: RedisStore) -> None:
    lines = rights.acl_line("worker", ">worker").replace(" ~kn:schema", "").split()[2:]
    assert not [word for word in lines if "kn:schema" in word]
    store.client.execute_command("ACL", "SETUSER", "before", *lines)
    url = store.client.connection_pool.connection_kwargs
    known = connect(f"redis://before:worker@127.0.0.1:{url['port']}/0")

    check_schema(known)

    assert store.client.get(keys.SCHEMA) is None


@pytest.mark.parametrize(
    "program",
    [
        ["-m", "coordinator.main"],
        ["-m", "gunicorn", "-c", "python:kotaemon_node.server.gunicorn_conf",
         "kotaemon_node.server.wsgi:app"],
    ],
    ids=["coordinator", "worker"],
)  # fmt: skip
def test_programs_do_not_start_and_say_why(
    store: RedisStore, server: RedisServer, tmp_path: Path, program: list[str]
) -> None:
    store.client.set(keys.SCHEMA, SCHEMA + 1)
    places = {
        "REDIS_URL": server.url,
        "ARTIFACT_URL": (tmp_path / "artifacts").as_uri(),
        "ARTIFACT_CACHE_DIR": str(tmp_path / "cache"),
        "KNOWLEDGE_DIR": str(tmp_path / "knowledge"),
        "PLUGINS_DIR": "",
        "MODEL_DIR": str(ROOT / ".models"),
        "POD_ADDRESS": "127.0.0.1:0",
        "COORDINATOR_PORT": str(choose_block(1)),
    }

    ended = subprocess.run(
        [sys.executable, *program],
        cwd=ROOT,
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode != 0
    assert TOLD in ended.stdout + ended.stderr
    assert store.client.keys("*") == [keys.SCHEMA.encode()]
