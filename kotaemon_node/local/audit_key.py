"""The key of the audit log of a cluster on one machine, made at its first start with one."""

import os
from contextlib import suppress
from pathlib import Path

from kotaemon_node.adapters.system import SecretLines
from kotaemon_node.adapters.system.ids import random_letters
from kotaemon_node.domain.credentials import KEY_SECRET_CHARS, problem_of
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.settings import Settings


def settle(folder: DataFolder, settings: Settings) -> dict[str, str]:
    """Return what every process is told of the audit log; nothing where it is off.

    The key is that of the environment or else of the data folder, where one is made if there is
    none. ``LocalError`` where it cannot be used.
    """
    if settings.audit_log == "off":
        return {}
    try:
        path = settings.audit_key_file or _own(folder)
        SecretLines(path, check=problem_of)
    except (ValueError, OSError) as error:
        raise LocalError(f"AUDIT_KEY_FILE cannot be used: {error}.") from error
    return {"AUDIT_LOG": "on", "AUDIT_KEY_FILE": str(path.absolute())}


def known(folder: DataFolder, settings: Settings) -> Settings:
    """Return the settings with the log of the data folder, where its cluster has one."""
    path = _file_of(folder)
    if settings.audit_key_file is not None or not path.is_file():
        return settings
    return settings.model_copy(update={"audit_log": "on", "audit_key_file": path})


def _file_of(folder: DataFolder) -> Path:
    return folder.path / "keys" / "audit.key"


def _own(folder: DataFolder) -> Path:
    path = _file_of(folder)
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o700)
    with suppress(FileExistsError):
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(made, "w", encoding="ascii") as file:
            file.write(random_letters(KEY_SECRET_CHARS) + "\n")
    return path
