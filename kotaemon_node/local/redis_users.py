"""Users of the Redis of a cluster on one machine: who they are, and where their passwords lie.

All processes of such a cluster are one user of the system, so this keeps out whoever else is on the
machine, and what a part should not do by mistake; who reads the data folder is every user of Redis.
"""

import hashlib
import os
import re
import secrets
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from kotaemon_node.adapters.redis import rights
from kotaemon_node.local.cluster import Cluster
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.settings import Settings

Part = Literal["worker", "coordinator", "turn-log", "backup"]
User = Literal[Part, "default"]
"""A part of the cluster, or Redis's own ``default``, who may do everything: for people."""

_PARTS: Final[tuple[Part, ...]] = ("worker", "coordinator", "turn-log", "backup")
_EVERYBODY: Final[tuple[User, ...]] = (*_PARTS, "default")
_SINCE: Final = (7, 0)
_NEWER: Final = (7, 2)


def settle(folder: DataFolder, settings: Settings) -> bool:
    """Return whether there shall be users, with a password for each; makes those that are missing.

    ``LocalError`` where the passwords cannot be kept, and where Redis is somebody else's.
    """
    if not settings.redis_users:
        return False
    if "redis_url" in settings.model_fields_set:
        raise LocalError(
            "REDIS_USERS makes users in a Redis that `kotaemon up` runs, and REDIS_URL names"
            " another: unset REDIS_USERS, and give that Redis the users that `kotaemon rights"
            " redis` prints."
        )
    if _version() < _SINCE:
        raise LocalError("REDIS_USERS needs Redis 7.0 or newer: older ones have no such rights.")
    try:
        for user in _EVERYBODY:
            _make(_file_of(folder.path, user))
    except OSError as error:
        raise LocalError(f"The passwords of Redis cannot be kept: {error}.") from error
    return True


def lines(folder: DataFolder) -> list[str]:
    """Return the lines of ``redis.conf`` that make the users; they hold digests, no passwords."""
    newer = _version() >= _NEWER
    everything = f"user default on {_digest(folder, 'default')} ~* &* +@all"
    parts = [rights.acl_line(part, _digest(folder, part), newer=newer) for part in _PARTS]
    return [everything, *parts]


def url_of(cluster: Cluster, user: User) -> str:
    """Return where the sessions of a cluster are, as a part, or a person, is let in there."""
    if cluster.redis_url:
        return cluster.redis_url
    address = f"127.0.0.1:{cluster.redis_port}/0"
    if not cluster.redis_users:
        return f"redis://{address}"
    file = quote(str(_file_of(Path(cluster.folder), user)), safe="/")
    return f"redis://{user}@{address}?password_file={file}"


def _file_of(folder: Path, user: User) -> Path:
    return folder / "keys" / "redis" / f"{user}.password"


def _make(path: Path) -> None:
    for private in (path.parent.parent, path.parent):
        private.mkdir(exist_ok=True)
        private.chmod(0o700)
    with suppress(FileExistsError):
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(made, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")


def _digest(folder: DataFolder, user: User) -> str:
    path = _file_of(folder.path, user)
    password = path.read_text("utf-8").strip()
    if not password:
        raise LocalError(f"{path} holds no password; remove it, and the next start makes another.")
    return "#" + hashlib.sha256(password.encode()).hexdigest()


def _version() -> tuple[int, int]:
    """Return which Redis this machine has; (0, 0) where its answer is no version."""
    program = shutil.which("redis-server") or "redis-server"
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r" v=(\d+)\.(\d+)", told.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)
