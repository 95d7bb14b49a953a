"""What a name of an artifact may be; the same in every store."""

from typing import Final

INCOMING: Final = ".incoming"
"""First step of what is no artifact: unfinished files, and trials of a server."""

STEP_BYTES_MAX: Final = 255
NAME_BYTES_MAX: Final = 1_024
"""What every file system takes of a name, and S3 of a key."""


def check_name(name: str) -> None:
    """Raise ``ValueError`` where ``name`` could leave the store or means nothing in it."""
    steps = name.split("/")
    if any(step in {"", ".", ".."} for step in steps) or "\0" in name or steps[0] == INCOMING:
        raise ValueError(f"not the name of an artifact: {name[:80]!r}")
    if len(name.encode()) > NAME_BYTES_MAX or any(
        len(it.encode()) > STEP_BYTES_MAX for it in steps
    ):
        raise ValueError(f"too long for the name of an artifact: {name[:80]!r}…")
