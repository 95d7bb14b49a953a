"""The first admin key of a cluster on one machine that asks for keys."""

import os
from contextlib import suppress
from pathlib import Path

from kotaemon_node.adapters.system import SecretLines
from kotaemon_node.adapters.system.ids import random_letters
from kotaemon_node.domain.credentials import (
    KEY_ID_CHARS,
    KEY_SECRET_CHARS,
    printed,
    problem_of,
)
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.settings import Settings


def file_of(folder: DataFolder) -> Path:
    """Return where the data folder keeps it."""
    return folder.path / "keys" / "admin.key"


def read(folder: DataFolder) -> str:
    """Return the newest key of the data folder; "" where there is none that may be read."""
    try:
        return file_of(folder).read_text("ascii").split()[0]
    except (OSError, ValueError, IndexError):
        return ""


def settle(folder: DataFolder, settings: Settings) -> dict[str, str]:
    """Return what every process is told of credentials; nothing where the cluster is open.

    The admin key is that of the environment or else of the data folder, where one is made if there
    is none. ``LocalError`` where it, or the secrets for ids of sessions, cannot be used.
    """
    if settings.auth_mode == "open":
        return {}
    try:
        path = settings.admin_key_file
        if path is None and not settings.admin_key:
            path = _own(folder)
        SecretLines(path, check=problem_of, fixed=settings.admin_key)
        SecretLines(settings.session_secret_file, check=problem_of)
    except (ValueError, OSError) as error:
        raise LocalError(
            f"ADMIN_KEY, ADMIN_KEY_FILE or SESSION_SECRET_FILE cannot be used: {error}."
        ) from error
    named = {"ADMIN_KEY_FILE": path, "SESSION_SECRET_FILE": settings.session_secret_file}
    return {name: str(given.absolute()) for name, given in named.items() if given is not None}


def _own(folder: DataFolder) -> Path:
    path = file_of(folder)
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o700)
    with suppress(FileExistsError):
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        key = printed(random_letters(KEY_ID_CHARS), random_letters(KEY_SECRET_CHARS))
        with os.fdopen(made, "w", encoding="ascii") as file:
            file.write(key + "\n")
    return path
