"""Keys change while processes seal and open all the time: nothing fails, nothing is lost."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import RedisDataKeys, connect
from kotaemon_node.adapters.sealing import (
    CopiesInArtifacts,
    DataKeyRing,
    KeyKeeper,
    MasterKeyLines,
    SealingCipher,
    problem_of_master_key,
)
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SecretLines, SystemClock
from kotaemon_node.adapters.system.secret_file import FixedLines
from kotaemon_node.domain.data_keys import DataKeyRow
from kotaemon_node.ports.cipher import SealedPlace
from tests.redis_server import RedisServer
from tests.sealing_parts import MASTER, OTHER_MASTER

NAMES = ("one", "two", "three")
PATIENCE_S = 120.0


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "master.keys"
    path.write_text(MASTER)
    return path


@pytest.fixture
def workers(server: RedisServer, file: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "tests.sealing_worker", server.url, str(file)]
    started = [subprocess.Popen([*command, name]) for name in NAMES]
    yield started
    for process in started:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@pytest.mark.long  # pods look for new keys every five seconds
def test_keys_are_rotated_and_rewrapped_under_load(
    server: RedisServer, file: Path, workers: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    store = connect(server.url)
    keys, clock = RedisDataKeys(store), SystemClock()
    masters = MasterKeyLines(SecretLines(file, check=problem_of_master_key))
    copies = CopiesInArtifacts(FileArtifactStore(tmp_path / "artifacts"))
    keeper = KeyKeeper(keys, copies, masters, clock=clock)

    def sealed_by() -> set[str]:
        found = [store.client.get(f"load:key:{name}") for name in NAMES]
        return {key.decode() if key else "" for key in found}

    def seals(row: DataKeyRow) -> None:
        until(lambda: sealed_by() == {row.id}, f"every process seals with {row.id}")

    # The first key: made by whoever came first, and by one alone.
    until(lambda: "" not in sealed_by(), "every process seals")
    [first] = keys.read("t").rows.values()
    seals(first)

    second = keeper.rotate("t")
    seals(second)

    # Another master key, below the first one, then above it; all is rewrapped; the old one goes.
    for lines in (f"{MASTER}\n{OTHER_MASTER}\n", f"{OTHER_MASTER}\n{MASTER}\n"):
        file.write_text(lines)
    assert keeper.rewrap().done == 2
    file.write_text(OTHER_MASTER)

    third = keeper.rotate("t")
    seals(third)
    store.client.set("load:stop", "")
    for process in workers:
        assert process.wait(60) == 0

    assert store.client.lrange("load:errors", 0, 5) == []
    values = store.client.lrange("load:values", 0, -1)
    by_key = [raw.split(b" ", 2)[2][2:10].hex() for raw in values]
    assert set(by_key) == {first.id, second.id, third.id}
    # A process that begins now, and has the new master key alone, opens every value.
    only = MasterKeyLines(FixedLines((OTHER_MASTER,)))
    fresh = SealingCipher(DataKeyRing(keys, only, copies=None, clock=clock))
    for raw in values:
        session, number, sealed = raw.split(b" ", 2)
        place = SealedPlace("t", "value", session=session.decode(), turn=number.decode())
        assert fresh.open(sealed, place) == session + b" " + number
