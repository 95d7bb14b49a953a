"""What a name of an artifact may be; the same in every store."""

from typing import Final

INCOMING: Final = ".incoming"
"""First step of what is no artifact: unfinished files, and trials of a server."""


def check_name(name: str) -> None:
    """Raise ``ValueError`` where ``name`` could leave the store or means nothing in it."""
    steps = name.split("/")
    if any(step in {"", ".", ".."} for step in steps) or "\0" in name or steps[0] == INCOMING:
        raise ValueError(f"not the name of an artifact: {name!r}")
