"""Memory as Linux tells it: of the machine, and of the control group (v2) of a container."""

from collections.abc import Iterator
from pathlib import Path


class SystemMemory:
    """``ports.memory.Memory``: the scarcest of the machine and each control group above us."""

    def __init__(
        self, *, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")
    ) -> None:
        self._proc = proc
        self._groups = groups

    def available_bytes(self) -> int | None:
        found = [self._of_machine(), *map(_of_group, self._own_groups())]
        known = [bytes_ for bytes_ in found if bytes_ is not None]
        return max(0, min(known)) if known else None

    def _of_machine(self) -> int | None:
        kilobytes = _fields(self._proc / "meminfo").get("MemAvailable:")
        return None if kilobytes is None else kilobytes * 1024

    def _own_groups(self) -> Iterator[Path]:
        """Yield the folders of our control group and of those that it is in."""
        try:
            table = (self._proc / "self" / "cgroup").read_text().splitlines()
        except OSError:
            return
        paths = [line[len("0::/") :] for line in table if line.startswith("0::/")]
        for path in paths:
            group = self._groups / path
            # Seen from inside a container, its own group is the root.
            yield from (at for at in (group, *group.parents) if at.is_relative_to(self._groups))


def _of_group(group: Path) -> int | None:
    limit, current = _number(group / "memory.max"), _number(group / "memory.current")
    if limit is None or current is None:
        return None  # "max": no limit at this level
    return limit - current + _fields(group / "memory.stat").get("inactive_file", 0)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _fields(path: Path) -> dict[str, int]:
    """Return the first number behind each word that begins a line."""
    try:
        rows = (line.split() for line in path.read_text().splitlines())
        return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}
    except OSError:
        return {}
