"""Ten thousand sessions are backed up and restored in memory that does not grow with them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import RedisStore, connect
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain.session import SessionKey
from tests.cluster import COMMAND
from tests.redis_server import RedisServer
from tests.unit.test_session_copy import chain

pytestmark = pytest.mark.long

FEW, MANY = 1_000, 10_000
GROWTH_BYTES_MAX = 64 * 1024 * 1024
_PEAK = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=sys.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(done.returncode)
"""


def fill(store: RedisStore, numbers: range) -> None:
    """Write sessions of five turns of 1,500 characters, as commits leave them."""
    for first in range(numbers.start, numbers.stop, 200):
        pipe = store.client.pipeline(transaction=False)
        for number in range(first, min(first + 200, numbers.stop)):
            names = SessionKeys.of(SessionKey("default", f"session-{number}"))
            texts = [os.urandom(750).hex() for _ in range(5)]
            rows = [json.dumps({"message": "m", "answer": text}).encode() for text in texts]
            meta = {
                "epoch": f"e{number}",
                "version": 5,
                "hash": chain(rows),
                "fence": 5,
                "tenant": "default",
                "principal": "anonymous",
                "created_ms": 1_700_000_000_000,
                "active_ms": 1_700_000_000_000 + number,
                "running": "",
            }
            pipe.hset(names.meta, mapping=meta)
            pipe.rpush(names.turns, *rows)
        pipe.execute()


def peak_bytes(environment: dict[str, str], *arguments: str) -> int:
    """Run a command to its end; return the most memory that it had."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, *COMMAND, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.timeout(2400)
def test_ten_thousand_sessions(tmp_path: Path) -> None:
    server = RedisServer()
    server.start()
    try:
        environment = {
            **os.environ,
            "REDIS_URL": server.url,
            "COORDINATOR_ARTIFACT_URL": f"file://{tmp_path}/artifacts",
            "BACKUP_URL": f"file://{tmp_path}/backups",
        }
        store = connect(server.url)
        peaks: dict[int, list[int]] = {}
        for before, count in ((0, FEW), (FEW, MANY)):
            fill(store, range(before, count))
            backup = peak_bytes(environment, "backup", "--full", "--what", "sessions")
            verify = peak_bytes(environment, "backup", "verify")
            names = set(store.client.scan_iter(match="*:meta", count=1000))
            assert len(names) == count
            server.wipe()
            restore = peak_bytes(environment, "restore", "--what", "sessions")
            assert set(store.client.scan_iter(match="*:meta", count=1000)) == names
            peaks[count] = [backup, verify, restore]
        print("peak bytes of backup, verify, restore:", peaks)
        growth = [many - few for few, many in zip(peaks[FEW], peaks[MANY], strict=True)]
        assert max(growth) < GROWTH_BYTES_MAX, peaks
    finally:
        server.remove()
