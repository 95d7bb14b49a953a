"""A Redis for a drill: of its own folder and port, with a password of its own, gone afterwards."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kotaemon_node.adapters.redis import connect, require_empty
from kotaemon_node.backup.format import BackupRefused
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.local.ports import choose_block
from kotaemon_node.ports.runtime import Clock

_START_S: Final = 60.0
_STOP_S: Final = 10.0


@contextmanager
def scratch_redis(folder: Path, clock: Clock) -> Iterator[str]:
    """Run a Redis that keeps nothing on disk; its URL in the body."""
    program = shutil.which("redis-server")
    if program is None:
        raise BackupRefused(
            "There is no redis-server on this machine to restore to: install it, or name an empty"
            " Redis of your own with --scratch-redis redis://host:port/0."
        )
    port, password = choose_block(1), secrets.token_hex(16)
    config = folder / "redis.conf"
    config.touch(mode=0o600)
    config.write_text(
        f'port {port}\nbind 127.0.0.1\ndir "{folder}"\nsave ""\nappendonly no\n'
        f"requirepass {password}\nloglevel warning\n"
    )
    server = subprocess.Popen([program, str(config)], stdout=subprocess.DEVNULL)
    try:
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        _until_empty(url, server, clock)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextmanager
def given_redis(url: str) -> Iterator[str]:
    """Use a Redis that somebody gives for it, which must be empty; afterwards it is again."""
    store = connect(url)
    require_empty(store)
    try:
        yield url
    finally:
        store.client.flushdb()
        store.client.close()


def _until_empty(url: str, server: "subprocess.Popen[bytes]", clock: Clock) -> None:
    deadline_s = clock.monotonic_s() + _START_S
    store = connect(url)
    try:
        while True:
            try:
                require_empty(store)
            except StoreUnavailable:
                if server.poll() is not None or clock.monotonic_s() > deadline_s:
                    raise
                clock.sleep(0.05)
            else:
                return
    finally:
        store.client.close()
