"""Watches a cluster in the foreground and tells when a process ends and when it is back."""

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

from kotaemon_node.local import probes, table
from kotaemon_node.local.cluster import load
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.supervisor import NotRunning, Supervisor

_POLL_S = 0.3

Tell = Callable[[str, str], None]
"""Told (process, what happened to it)."""


def watch(folder: DataFolder, supervisord: subprocess.Popen[bytes], *, tell: Tell) -> None:
    """Return when supervisord ends."""
    changes = Changes(folder, tell)
    while supervisord.poll() is None:
        with suppress(NotRunning):  # it is ending; poll says so in a moment
            changes.look()
        time.sleep(_POLL_S)


class Changes:
    """Compares what runs now with what ran at the last look."""

    def __init__(self, folder: DataFolder, tell: Tell) -> None:
        self._folder = folder
        self._tell = tell
        self._pids: dict[str, int | None] = {}
        self._since: dict[str, float] = {}
        """Processes that are not ready yet, and when that began."""

    def look(self) -> None:
        """Tell what changed since the last look; the first look only remembers."""
        cluster = load(self._folder)
        if cluster is None:
            return
        processes = Supervisor(self._folder).processes()
        for name in table.names(cluster):
            info = processes[name]
            self._compare(name, info.pid if info.up else None)
        waiting = [name for name in self._since if self._pids.get(name)]
        for name, is_ready in probes.ready(cluster, waiting).items():
            if is_ready:
                seconds = time.monotonic() - self._since.pop(name)
                pid = table.serving_pid(self._folder, processes[name])
                self._tell(name, f"is ready after {seconds:.1f} s (pid {pid})")

    def _compare(self, name: str, pid: int | None) -> None:
        """Compare pids of supervised processes: a worker's ends when the one that serves ends."""
        known = name in self._pids
        before = self._pids.get(name)
        self._pids[name] = pid
        if not known or pid == before:
            return
        self._since.setdefault(name, time.monotonic())
        if before is not None:
            self._tell(name, "ended" if pid is None else "ended and was started again")
