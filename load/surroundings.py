"""Where a figure was taken: every results file names it."""

import os
import platform
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def commit(*, required: bool = True) -> str:
    """Return the commit that is checked out, marked where the tree differs from it.

    ``required``: raises ``CalledProcessError`` where there is none; else that is "unknown".
    """
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=required,
    )
    return done.stdout.strip() or "unknown"


def machine() -> str:
    """Return what the machine is, in words."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}"
