"""A running cluster of this machine, as whoever disturbs it sees it."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import requests

from kotaemon_node.local import control, redis_users, table
from kotaemon_node.local.balancer import pods_in_use
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.supervisor import NotRunning, Supervisor

_POLL_S = 0.05
_LEAVES_S = 60.0
_METRICS_S = 10.0
_STARTED = 19
"""Place of the start, in ticks since the boot, behind the name in /proc/<pid>/stat."""


class NotInTime(Exception):
    """What was waited for did not come."""


class Target:
    """Processes of the cluster in one data folder: looked at, struck and waited for."""

    def __init__(self, folder: DataFolder, *, url: str) -> None:
        """``url``: of the balancer."""
        self.folder = folder
        self.url = url

    @classmethod
    def running(cls, folder: DataFolder) -> "Target":
        """Return the cluster that runs in this folder; ``LocalError`` when none does."""
        return cls(folder, url=control.running_cluster(folder).url)

    @property
    def own_redis(self) -> bool:
        """The cluster runs a Redis itself."""
        return not control.running_cluster(self.folder).redis_url

    @property
    def redis_url(self) -> str:
        """Where its sessions are kept, for somebody who may look at everything."""
        return redis_users.url_of(control.running_cluster(self.folder), "default")

    def ps(self) -> list[dict[str, Any]]:
        """Return the rows of ``kotaemon ps --json``."""
        processes = Supervisor(self.folder).processes()
        found = table.rows(self.folder, control.running_cluster(self.folder), processes)
        return [row.as_json() for row in found]

    @property
    def stopped(self) -> bool:
        """Somebody has stopped the cluster, or is about to."""
        try:
            Supervisor(self.folder).processes()
        except NotRunning:
            return True
        return False

    def row(self, name: str) -> dict[str, Any]:
        """Return the row of one process."""
        return next(row for row in self.ps() if row["name"] == name)

    def workers(self) -> list[str]:
        """Return the names of the workers."""
        return [row["name"] for row in self.ps() if row["role"] == "worker"]

    def worker_ports(self) -> list[int]:
        """Return the workers' own ports, in the order of their names."""
        return [row["port"] for row in self.ps() if row["role"] == "worker"]

    def pids(self, names: Sequence[str]) -> dict[str, int]:
        """Return the serving pids of those that are up."""
        rows = self.ps()
        return {r["name"]: r["pid"] for r in rows if r["name"] in names and r["pid"] is not None}

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to the process that serves and return its pid."""
        pid = self.row(name)["pid"]
        if not isinstance(pid, int):
            raise NotInTime(f"{name} is down")
        os.kill(pid, number)
        return pid

    def wait_ready(self, *, timeout_s: float = 60.0) -> float:
        """Return when every process is ready and HAProxy uses every worker; in seconds."""
        return self.wait_until(self.all_ready, what="every process is ready", timeout_s=timeout_s)

    def all_ready(self) -> bool:
        """Tell whether every process is ready and HAProxy uses every worker."""
        rows = self.ps()
        workers = {row["name"] for row in rows if row["role"] == "worker"}
        return all(row["ready"] for row in rows) and self.in_use() == workers

    def in_use(self) -> set[str]:
        """Return the workers that HAProxy sends requests to."""
        return pods_in_use(self.folder)

    def wait_until(
        self, condition: Callable[[], bool], *, what: str, timeout_s: float = 60.0
    ) -> float:
        """Return when ``condition()`` holds, after how many seconds; ``NotInTime``."""
        began_s = time.monotonic()
        while not condition():
            if time.monotonic() - began_s > timeout_s:
                raise NotInTime(f"not within {timeout_s:.0f} s: {what}")
            time.sleep(_POLL_S)
        return time.monotonic() - began_s

    def wait_replaced(self, name: str, pid: int) -> None:
        """Wait until another process stands in the place of the one that had this pid."""
        self.wait_until(
            lambda: self.row(name)["pid"] not in {pid, None},
            what=f"{name} is another process",
            timeout_s=_LEAVES_S,
        )

    def serving(self) -> dict[str, int]:
        """Return the workers that are ready and used, with their pids."""
        used = self.in_use()
        rows = [row for row in self.ps() if row["name"] in used and row["ready"]]
        return {row["name"]: row["pid"] for row in rows if row["pid"] is not None}

    def started_s(self, name: str) -> float | None:
        """Return when a process was started, in seconds since the boot; None while it is down."""
        pid = Supervisor(self.folder).processes()[name].pid
        try:
            # Its own name is in brackets and may hold anything.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return int(fields[_STARTED]) / os.sysconf("SC_CLK_TCK")

    def scale(self, workers: int) -> None:
        """Change the number of workers; ``LocalError``."""
        control.scale(self.folder, workers, progress=lambda *_: None)

    def reload_balancer(self) -> None:
        """Have HAProxy read its configuration again."""
        control.reload_balancer(self.folder)

    def metric(self, name: str) -> float:
        """Return the sum over the workers that answer; what was before their start is lost."""
        total = 0.0
        for port in self.worker_ports():
            try:
                shown = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=_METRICS_S).text
            except requests.RequestException:
                continue
            lines = (line for line in shown.splitlines() if line.startswith(f"{name} "))
            total += sum(float(line.split()[1]) for line in lines)
        return total
