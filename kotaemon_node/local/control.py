"""Changes a cluster while it runs, and takes it down."""

import os
import resource
import signal
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from kotaemon_node.local import cluster as clusters
from kotaemon_node.local import (
    config,
    haproxy,
    leftovers,
    preflight,
    table,
)
from kotaemon_node.local.cluster import WORKER_SLOTS, Cluster
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder, write_whole
from kotaemon_node.local.supervisor import ShuttingDown, Supervisor
from kotaemon_node.local.waiting import POLL_S, Progress, wait_balanced, wait_ready

# The waits of supervisord for its programs, one group after the other, and something over.
STOP_S = 90.0


def down(folder: DataFolder) -> bool:
    """Stop everything in order and return whether anything was running.

    What does not stop in time is killed. State stays in the data folder.
    """
    ran = Supervisor(folder).alive()
    leftovers.wake(folder)
    if ran:
        _shut_down(folder)
    left = leftovers.find(folder)
    leftovers.end(left)
    return ran or bool(left)


def _shut_down(folder: DataFolder) -> None:
    """Have supervisord stop everything; it does so in order, and kills what takes too long."""
    supervisor = Supervisor(folder)
    with suppress(ShuttingDown):  # somebody else asked already
        supervisor.shutdown()
    deadline = time.monotonic() + STOP_S
    while supervisor.alive() and time.monotonic() < deadline:
        time.sleep(POLL_S)
    # It closes its socket shortly before it ends; a signal now would look like a failure.
    while leftovers.find(folder) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def kill(folder: DataFolder) -> None:
    """End every process of the cluster at once, in no order."""
    leftovers.kill(leftovers.find(folder))


def stop_one(folder: DataFolder, name: str) -> None:
    """Stop a process and keep it down until somebody starts it again."""
    cluster = _known(folder, name)
    supervisor = Supervisor(folder)
    supervisor.stop(name)
    _tell_next_balancer(folder, cluster)
    _wait_stopped(supervisor, [name])


def start_one(folder: DataFolder, name: str, *, progress: Progress) -> None:
    """Start a process that was stopped and return when it is ready."""
    cluster = _known(folder, name)
    Supervisor(folder).start(name)
    wait_ready(folder, cluster, [name], progress=progress)
    if table.role_of(name) == "worker":
        wait_balanced(folder, [name])
    _tell_next_balancer(folder, cluster)


def scale(folder: DataFolder, workers: int, *, progress: Progress) -> None:
    """Change the number of workers; return when the new ones serve and the others are gone."""
    preflight.check_workers(workers)
    before = running_cluster(folder)
    cluster = replace(before, workers=workers)
    supervisor = Supervisor(folder)
    clusters.save(folder, cluster)
    processes = supervisor.processes()
    # One that was stopped by its name stays down: only slots that are new to the cluster start.
    coming = [f"worker-{slot}" for slot in range(before.workers, workers)]
    others = [f"worker-{slot}" for slot in range(workers, WORKER_SLOTS)]
    leaving = [name for name in others if processes[name].wanted]
    for name in leaving:
        progress(name, "draining")
        supervisor.stop(name)
    start_each(supervisor, coming, progress)
    wait_ready(folder, cluster, coming, progress=progress)
    wait_balanced(folder, coming)
    _tell_next_balancer(folder, cluster)
    _wait_stopped(supervisor, leaving)


def _tell_next_balancer(folder: DataFolder, cluster: Cluster) -> None:
    """Write down for the next start of HAProxy in which slots there are pods.

    The HAProxy that runs needs no word: its checks find what comes, drains and goes.
    """
    supervisor = Supervisor(folder)
    stopped = [name for name, info in supervisor.processes().items() if not info.wanted]
    # What HAProxy will inherit; the shell of this command may have another limit.
    open_files_max = resource.prlimit(supervisor.pid(), resource.RLIMIT_NOFILE)[1]
    write_balancer(folder, cluster, open_files_max=open_files_max, stopped=stopped)


def reload_balancer(folder: DataFolder) -> None:
    """Have HAProxy read its configuration again; streams go on in the process that has them."""
    running_cluster(folder)
    info = Supervisor(folder).processes()["haproxy"]
    if not info.up:
        raise LocalError("HAProxy is down; `kotaemon start haproxy` starts it.")
    os.kill(info.pid, signal.SIGUSR2)


def _wait_stopped(supervisor: Supervisor, names: Sequence[str]) -> None:
    # supervisord itself bounds this: what outlives its wait is killed.
    while any(supervisor.processes()[name].pid for name in names):
        time.sleep(POLL_S)


def running_cluster(folder: DataFolder) -> Cluster:
    """Return the cluster that runs in this folder; ``LocalError`` when none does."""
    cluster = clusters.load(folder)
    if cluster is None:
        raise LocalError(
            f"There is no cluster in {folder.path}; start one with `kotaemon up`, or name its"
            " folder with --data."
        )
    if not Supervisor(folder).alive():
        left = leftovers.find(folder)
        if left:
            raise LocalError(
                f"The supervisor of the cluster in {folder.path} was killed, and {len(left)} of its"
                " processes go on without it; `kotaemon up` or `kotaemon down` ends them."
            )
        raise LocalError(f"No cluster is running in {folder.path}; `kotaemon up` starts it.")
    return cluster


def _known(folder: DataFolder, name: str) -> Cluster:
    cluster = running_cluster(folder)
    names = table.names(cluster)
    if name not in names:
        raise LocalError(f"There is no process {name}; there are {', '.join(names)}.")
    return cluster


def write_balancer(
    folder: DataFolder, cluster: Cluster, *, open_files_max: int, stopped: Collection[str] = ()
) -> None:
    """Write what HAProxy reads when it starts; ``stopped`` are down because somebody said so."""
    for name, text in haproxy.scripts().items():
        write_whole(folder.path / name, text)
    text = config.haproxy_config(cluster, open_files_max=open_files_max, stopped=stopped)
    write_whole(folder.haproxy_config, text)


def start_each(supervisor: Supervisor, names: Sequence[str], progress: Progress) -> None:
    """Have the supervisor start them, one after the other."""
    for name in names:
        progress(name, "starting")
        supervisor.start(name)
