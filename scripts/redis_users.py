"""Writes the users of the chart's Redis, from the table of rights; a test fails while they are old.

A line has no password: the container of Redis puts it between name and rights.
"""

from pathlib import Path
from typing import Final

from kotaemon_node.adapters.redis import rights

FILE: Final = Path(__file__).resolve().parents[1] / "helm" / "kotaemon" / "files" / "redis-users"
ROLES: Final[tuple[rights.Role, ...]] = ("worker", "coordinator", "turn-log", "backup")


def text() -> str:
    """Return a line for each part: its name, and its rights."""
    lines = []
    for role in ROLES:
        _, _, granted = rights.acl_line(role, "").partition(" on  ")
        lines.append(f"{role} {granted}\n")
    return "".join(lines)


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
