"""Asks HAProxy, over its own socket, which pods it uses."""

import csv
import io
import os
import socket

from kotaemon_node.local.folder import DataFolder

_TIMEOUT_S = 2.0
_ALL_SERVERS = b"show stat -1 4 -1\n"


def pods_in_use(folder: DataFolder) -> set[str]:
    """Return the workers that HAProxy sends requests to; none while it does not answer.

    A server it has never checked does not count: HAProxy takes it to be up until it knows better.
    """
    rows = csv.DictReader(io.StringIO(_ask(folder, _ALL_SERVERS).removeprefix("# ")))
    return {
        row["svname"]
        for row in rows
        if row["status"].startswith("UP") and row["check_status"] == "L7OK"
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
