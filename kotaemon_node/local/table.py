"""The rows of ``kotaemon ps``: what runs, under which pid, and whether it is ready."""

import os
from contextlib import suppress
from dataclasses import asdict, dataclass

import psutil

from kotaemon_node.local import probes
from kotaemon_node.local.cluster import Cluster
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.supervisor import ProcessInfo

# Of these there are several.
_ROLES = ("worker", "build-worker")


@dataclass(frozen=True, slots=True)
class Row:
    """One process. ``pid`` is None while it is down."""

    role: str
    name: str
    pid: int | None
    port: int
    ready: bool

    def as_json(self) -> dict[str, object]:
        """Return the form of ``kotaemon ps --json``."""
        return asdict(self)


def names(cluster: Cluster) -> list[str]:
    """Return the processes that belong to the cluster at its present size, in start order."""
    first = [] if cluster.redis_url else ["redis"]
    if cluster.own_kafka:
        first.append("kafka")
    workers = [f"worker-{slot}" for slot in range(cluster.workers)]
    builders = [f"build-worker-{slot}" for slot in range(cluster.build_workers)]
    shop = ["shop"] if cluster.shop else []
    keeper = ["turn-log"] if cluster.turn_log else []
    return [*first, *shop, *keeper, "haproxy", "coordinator", *builders, *workers]


def rows(folder: DataFolder, cluster: Cluster, processes: dict[str, ProcessInfo]) -> list[Row]:
    """Return one row a process; the living ones are probed."""
    shown = names(cluster)
    pids = {name: serving_pid(folder, processes.get(name)) for name in shown}
    ready = probes.ready(cluster, [name for name in shown if pids[name] is not None])
    return [
        Row(
            role=role_of(name),
            name=name,
            pid=pids[name],
            port=probes.port_of(cluster, name),
            ready=ready.get(name, False),
        )
        for name in shown
    ]


def role_of(name: str) -> str:
    """Return ``worker`` for ``worker-2``, and the name itself for the others."""
    return next((role for role in _ROLES if name.startswith(f"{role}-")), name)


def serving_pid(folder: DataFolder, info: ProcessInfo | None) -> int | None:
    """Return the pid that serves requests; None while the process is down.

    For a worker that is not the process supervisord started, but the one below it that wrote its
    own pid: killing that ends the pod, freezing it freezes the pod. An old file is recognised by
    its process not being of the supervised group. HAProxy's newest child serves; an older one only
    goes on with the streams that it had before a reload.
    """
    if info is None or not info.up:
        return None
    if info.name == "haproxy":
        return _newest_child(info.pid) or info.pid
    if role_of(info.name) != "worker":
        return info.pid
    try:
        pid = int(folder.pid_file(info.name).read_text())
        return pid if os.getpgid(pid) == info.pid else info.pid
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return info.pid


def _newest_child(pid: int) -> int | None:
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(pid).children()
        alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return max(alive, key=psutil.Process.create_time).pid if alive else None
    return None
