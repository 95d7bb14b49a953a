"""Two versions of the program side by side, and the path by which processes find one of them."""

import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final, Literal, Self

from load import surroundings
from load.chaos.model import ROOT

Name = Literal["old", "new"]

_PACKAGES: Final = ("kotaemon_node", "coordinator")
_VERSION: Final = re.compile(r'^__version__ = "([^"+]+)"', re.MULTILINE)


class NoSuchCommit(Exception):
    """The repository does not hold the commit: it is none, or the clone is a shallow one."""


@dataclass(frozen=True, slots=True)
class Program:
    """A source tree whose pods say by their version which it is."""

    name: Name
    """``old`` or ``new``: what its version ends with, behind a plus."""
    commit: str
    path: Path

    @classmethod
    def of_commit(cls, name: Name, commit: str, folder: Path) -> Self:
        """Take both programs out of a commit; ``NoSuchCommit``."""
        packed = subprocess.run(
            ["git", "archive", commit, *_PACKAGES], cwd=ROOT, capture_output=True, check=False
        )
        if packed.returncode:
            raise NoSuchCommit(f"{commit}: {packed.stderr.decode().strip()}")
        path = folder / name
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as packed_files:
            packed_files.extractall(path, filter="data")
        said = ["git", "describe", "--always", commit]
        known = subprocess.run(said, cwd=ROOT, capture_output=True, text=True, check=True)
        return cls._stamped(name, known.stdout.strip(), path)

    @classmethod
    def of_tree(cls, name: Name, folder: Path) -> Self:
        """Copy both programs as they lie here: what is edited meanwhile must not half run."""
        path = folder / name
        for package in _PACKAGES:
            shutil.copytree(ROOT / package, path / package)
        return cls._stamped(name, surroundings.commit(required=False), path)

    @classmethod
    def _stamped(cls, name: Name, commit: str, path: Path) -> Self:
        place = path / "kotaemon_node" / "__init__.py"
        text, times = _VERSION.subn(rf'__version__ = "\1+{name}"', place.read_text("utf-8"))
        assert times == 1, f"{place} says no version"
        place.write_text(text, "utf-8")
        return cls(name, commit, path)


class Switch:
    """The one path that processes import from; what it leads to decides about the next start."""

    def __init__(self, folder: Path, program: Program) -> None:
        self.path: Final = folder / "program"
        self.path.symlink_to(program.path)

    def settings(self) -> dict[str, str]:
        """Return what makes the processes of a cluster start from here, and stay what they are."""
        return {
            "PYTHONPATH": f"{Path(__file__).parent / 'pin'}:{self.path}:{ROOT}",
            "PROGRAM_LINK": str(self.path),
        }

    def to(self, program: Program) -> None:
        """Let whatever starts from now on be this program; what runs goes on."""
        coming = self.path.with_name("program.coming")
        coming.symlink_to(program.path)
        coming.replace(self.path)
