"""Finds the processes of a cluster without its supervisord, and ends them."""

import os
import signal
from pathlib import Path

import psutil

from kotaemon_node.local.folder import DataFolder

_TERM_WAIT_S = 10.0
_KILL_WAIT_S = 5.0


def find(folder: DataFolder) -> list[psutil.Process]:
    """Return the living processes of the cluster's last start, supervisord included.

    They share the session that supervisord was started in, and work in the data folder. The number
    alone could be a stranger's after a reboot, and the folder alone could be somebody's shell.
    (An environment variable would not do: Redis writes its title over its environment.)
    """
    try:
        session = int(folder.session_file.read_text())
    except (FileNotFoundError, ValueError):
        return []
    return [process for process in psutil.process_iter() if _belongs(process, session, folder.path)]


def _belongs(process: psutil.Process, session: int, folder: Path) -> bool:
    try:
        return (
            os.getsid(process.pid) == session
            and process.status() != psutil.STATUS_ZOMBIE
            and Path(process.cwd()).is_relative_to(folder.resolve())
        )
    except (psutil.Error, ProcessLookupError):
        return False  # it ended meanwhile, or is another user's and not ours to end


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


def wake(folder: DataFolder) -> None:
    """Let frozen processes go on, so that they can end in order."""
    for process in find(folder):
        _signal(process, signal.SIGCONT)


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
