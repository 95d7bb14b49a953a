"""Asks HAProxy, over its own socket, which pods it uses."""

import csv
import io
import os
import socket
from dataclasses import dataclass

from kotaemon_node.local.folder import DataFolder

_TIMEOUT_S = 2.0
_ALL_SERVERS = b"show stat -1 4 -1\n"


@dataclass(frozen=True, slots=True)
class PodState:
    """How HAProxy sees a worker, in HAProxy's own words."""

    status: str
    """``UP``, ``DOWN``, ``NOLB`` (leaving), and more while it changes."""
    check: str
    """Result of the last check: ``L7OK``, ``L4CON`` (refused), ``L7TOUT`` (silent), …"""


def pods_in_use(folder: DataFolder) -> set[str]:
    """Return the workers that HAProxy sends requests to; none while it does not answer.

    A server it has never checked does not count: HAProxy takes it to be up until it knows better.
    """
    return {
        name
        for name, state in pod_states(folder).items()
        if state.status.startswith("UP") and state.check == "L7OK"
    }


def pod_states(folder: DataFolder) -> dict[str, PodState]:
    """Return the state of every worker slot by name; nothing while HAProxy does not answer."""
    rows = csv.DictReader(io.StringIO(_ask(folder, _ALL_SERVERS).removeprefix("# ")))
    return {
        row["svname"]: PodState(row["status"], row["check_status"])
        for row in rows
        # Those of gRPC have the same names, and follow these.
        if row["pxname"] == "workers"
    }


def _ask(folder: DataFolder, command: bytes) -> str:
    # A socket's path may only have 107 bytes; through the open folder it is always short.
    run = os.open(folder.run, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(f"/proc/self/fd/{run}/haproxy.sock")
            connection.sendall(command)
            with connection.makefile("rb") as answer:
                return answer.read().decode()
    except OSError:
        return ""
    finally:
        os.close(run)
