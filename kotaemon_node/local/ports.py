"""Ports of a cluster: one block of neighbours, chosen at random and found free."""

import random
import socket
from collections.abc import Iterable

from kotaemon_node.local.errors import LocalError

# Below Linux's ephemeral range (32768 and up): a port of ours must not be taken by the outgoing
# connection of a stranger while its process restarts. Above the ports of well-known services.
FIRST_PORT = 20_000
LAST_PORT = 32_000
TRIES_MAX = 200


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen on the port now."""
    return obstacle(port, host=host) is None


def obstacle(port: int, *, host: str) -> OSError | None:
    """Return why no server could listen on the port now; None: one could."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of a cluster just stopped, in TIME_WAIT, are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error
    return None


def all_free(ports: Iterable[int]) -> bool:
    """Tell whether every port could be listened on now."""
    return all(is_free(port) for port in ports)


def choose_block(size: int) -> int:
    """Return the first port of ``size`` free neighbours; ``LocalError`` where there are none."""
    starts = range(FIRST_PORT, LAST_PORT - size, size)
    # Not security: at random, so that clusters started at the same time rarely try the same block.
    for start in random.sample(starts, k=min(TRIES_MAX, len(starts))):
        if all_free(range(start, start + size)):
            return start
    raise LocalError(
        f"No {size} free neighbouring ports were found between {FIRST_PORT} and {LAST_PORT};"
        " stop some servers on this machine."
    )
