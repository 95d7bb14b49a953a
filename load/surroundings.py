"""Where a figure was taken: every results file names it, and it has to be a commit."""

import os
import platform
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


class DirtyTree(Exception):
    """What is checked out is no commit, so nobody could measure it again."""


def refuse_dirty(root: Path = _ROOT) -> None:
    """Raise ``DirtyTree`` where the tree differs from its commit; results are no part of it."""
    done = subprocess.run(
        ["git", "status", "--porcelain", "--", ".", ":!load/results"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    if done.stdout.strip():
        files = "\n  ".join(done.stdout.splitlines()[:10])
        raise DirtyTree(
            f"The tree differs from its commit, so the figures would be of no commit:\n  {files}\n"
            "Commit first, or use --dirty: then the figures are printed, and nothing is kept."
        )


def changed_since(commit: str, root: Path = _ROOT) -> list[str]:
    """Return the files that differ from what ``commit()`` told, or are new, but for results."""
    found: set[str] = set()
    for asked in (
        ["git", "diff", "--name-only", commit.removesuffix("-dirty")],
        ["git", "ls-files", "--others", "--exclude-standard"],
    ):
        done = subprocess.run(
            [*asked, "--", ".", ":!load/results"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        found.update(done.stdout.splitlines())
    return sorted(found)


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
