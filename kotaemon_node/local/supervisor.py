"""Talks to the supervisord of a data folder over its Unix socket."""

import http.client
import os
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from supervisor.xmlrpc import Faults, SupervisorTransport

from kotaemon_node.local.config import BUILDERS, WORKER_GROUP
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder, write_whole
from kotaemon_node.local.supervisord import WITH_PARENT

RUNNING, STARTING, BACKOFF = "RUNNING", "STARTING", "BACKOFF"


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """What supervisord knows of one process."""

    name: str
    state: str
    pid: int
    """0 while there is no process."""
    exit_status: int
    """Of the last run; negative where a signal ended it."""

    @property
    def up(self) -> bool:
        """There is a process, however young."""
        return self.state in (RUNNING, STARTING) and self.pid > 0

    @property
    def wanted(self) -> bool:
        """Somebody wants it to run: it was started and not stopped."""
        return self.state in (RUNNING, STARTING, BACKOFF, "EXITED")


class NotRunning(LocalError):
    """No supervisord answers in this data folder."""


class ShuttingDown(NotRunning):
    """It is stopping everything and takes no more commands."""


class Supervisor:
    """Commands to a running supervisord. ``NotRunning`` from any of them when it is gone."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder

    def alive(self) -> bool:
        """Tell whether it answers."""
        try:
            self.pid()
        except ShuttingDown:
            return True
        except NotRunning:
            return False
        return True

    def pid(self) -> int:
        """Return the pid of supervisord itself."""
        return int(self._call("getPID"))

    def processes(self) -> dict[str, ProcessInfo]:
        """Return every program by name, unused worker slots included."""
        return {
            info["name"]: ProcessInfo(
                name=info["name"],
                state=info["statename"],
                pid=info["pid"],
                exit_status=info["exitstatus"],
            )
            for info in self._call("getAllProcessInfo")
        }

    def start(self, name: str) -> None:
        """Start a program without waiting for it; nothing happens where it runs already."""
        self._call_allowing(Faults.ALREADY_STARTED, "startProcess", _rpc_name(name), False)

    def stop(self, name: str) -> None:
        """Ask a program to stop without waiting; nothing happens where it does not run."""
        self._call_allowing(Faults.NOT_RUNNING, "stopProcess", _rpc_name(name), False)

    def shutdown(self) -> None:
        """Ask for the orderly end of everything: workers, HAProxy, coordinator, Redis."""
        self._call("shutdown")

    def _call_allowing(self, fault: int, method: str, *arguments: object) -> None:
        try:
            self._call(method, *arguments)
        except xmlrpc.client.Fault as error:
            if error.faultCode != fault:
                raise

    def _call(self, method: str, *arguments: object) -> Any:
        try:
            with self._server() as server:
                return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as error:
            if error.faultCode != Faults.SHUTDOWN_STATE:
                raise
            raise ShuttingDown(f"The cluster in {self._folder.path} is stopping.") from error
        except (OSError, http.client.HTTPException) as error:
            raise NotRunning(f"No cluster is running in {self._folder.path}.") from error

    @contextmanager
    def _server(self) -> Iterator[xmlrpc.client.ServerProxy]:
        # A socket's path may only have 107 bytes; through the open folder it is always short.
        folder = os.open(self._folder.run, os.O_RDONLY | os.O_DIRECTORY)
        try:
            transport = SupervisorTransport(
                serverurl=f"unix:///proc/self/fd/{folder}/supervisor.sock"
            )
            with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as server:
                yield server
        finally:
            os.close(folder)


def _rpc_name(name: str) -> str:
    if name.startswith("build-worker-"):
        return f"{BUILDERS}:{name}"
    return f"{WORKER_GROUP}:{name}" if name.startswith("worker-") else name


def spawn(
    folder: DataFolder, *, environment: Mapping[str, str], with_us: bool
) -> subprocess.Popen[bytes]:
    """Start supervisord in a session of its own, where Ctrl-C does not reach its processes.

    ``with_us``: the cluster is stopped, in order, even when this process is killed.
    """
    command = [sys.executable, "-m", "kotaemon_node.local.supervisord"]
    if with_us:
        command += [WITH_PARENT, str(os.getpid())]
    with folder.log("supervisord").open("ab") as log:
        process = subprocess.Popen(
            [*command, "-n", "-c", folder.supervisord_config.name],
            cwd=folder.path,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    write_whole(folder.session_file, f"{process.pid}\n")
    return process
