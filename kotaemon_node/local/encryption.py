"""The file of master keys of a cluster on one machine; without one nothing is sealed."""

import os
import secrets
from pathlib import Path

from kotaemon_node.adapters.sealing import problem_of_master_key
from kotaemon_node.adapters.system import SecretLines
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.settings import Settings


def file_of(folder: DataFolder) -> Path:
    """Return where the data folder keeps it."""
    return folder.path / "keys" / "master.keys"


def used(folder: DataFolder, settings: Settings) -> Path | None:
    """Return the file that counts: that of the environment, else the data folder's; None: none."""
    if settings.encryption_key_file is not None:
        return settings.encryption_key_file.absolute()
    own = file_of(folder)
    return own.absolute() if own.exists() else None


def settle(folder: DataFolder, settings: Settings) -> dict[str, str]:
    """Return what every process is told of master keys. ``LocalError`` where they are unusable."""
    path = used(folder, settings)
    if path is None:
        return {}
    try:
        SecretLines(path, check=problem_of_master_key)
    except ValueError as error:
        raise LocalError(f"The master keys cannot be used: {error}.") from error
    return {"ENCRYPTION_KEY_FILE": str(path)}


def add_key(path: Path, *, last: bool) -> None:
    """Write a new master key into the file, as its first line or ``last``; others stay as they are.

    Raises ``OSError``, and ``ValueError`` where the file holds something else.
    """
    there = path.read_text("ascii").split() if path.exists() else []
    for line in there:
        if problem := problem_of_master_key(line):
            raise ValueError(f"{path}: {problem}")
    key = secrets.token_hex(32)
    lines = [*there, key] if last else [key, *there]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Written aside and renamed: who reads it meets one state or the other.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
