"""Finds processes of a cluster whose supervisord was killed, and ends them."""

import os
import signal

import psutil

from kotaemon_node.local.cluster import Cluster

# Every process of a cluster inherits it; nothing else in the system says whose a process is.
MARK = "KOTAEMON_CLUSTER"
_TERM_WAIT_S = 10.0
_KILL_WAIT_S = 5.0


def find(cluster: Cluster) -> list[psutil.Process]:
    """Return the living processes that carry the cluster's mark, this one excepted."""
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(MARK) == mark(cluster)
        except psutil.Error:
            continue  # ended meanwhile, or another user's: not ours to end
        if marked and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def mark(cluster: Cluster) -> str:
    """Return the value of ``MARK`` for this cluster."""
    return f"{cluster.cluster_id}:{cluster.folder}"


def end(processes: list[psutil.Process]) -> None:
    """Ask these processes to end, and kill those that do not."""
    for process in processes:
        _signal(process, signal.SIGCONT)
        _signal(process, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(processes, timeout=_TERM_WAIT_S)
    kill(stubborn)


def kill(processes: list[psutil.Process]) -> None:
    """Kill these processes and wait until they are gone."""
    for process in processes:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(processes, timeout=_KILL_WAIT_S)


def wake(cluster: Cluster) -> None:
    """Let frozen processes go on, so that they can end in order."""
    for process in find(cluster):
        _signal(process, signal.SIGCONT)


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
