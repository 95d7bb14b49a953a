"""gunicorn's configuration of a worker pod: one gevent process serves, one parent watches it.

The pod is the serving process. Its parent only holds the listening socket, and ends with it: a
parent that forked a fresh server would hide the death from the supervisor and keep the socket
open, so that the balancer's connections hang instead of being refused.
"""

import gc

from kotaemon_node.server.patching import patch_all

# Imports leave next to no garbage, and looking for it takes a sixth of their time.
gc.disable()
# Before anything imports ssl or threading; the forked server inherits it.
patch_all()

import os  # noqa: E402 - after the patch
import socket  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402

# What takes most of a start is done before the port is bound: until then others see by the refused
# connection that the incarnation before is dead, between binding and serving they see nothing.
import kotaemon_node.bootstrap  # noqa: E402, F401
from kotaemon_node.domain import limits  # noqa: E402
from kotaemon_node.settings import Settings  # noqa: E402

# What was imported stays: no collection looks at it again, nor copies pages shared with the parent.
gc.freeze()
gc.enable()

_settings = Settings()

bind = [_settings.pod_address]
workers = 1
worker_class = "kotaemon_node.server.worker.PodWorker"
# Beyond the requests: idle connections of the balancer, and those that are told 429.
worker_connections = limits.REQUESTS_PER_POD_MAX + 1_500
# As many as Linux lets wait (net.core.somaxconn): when a pod dies, the readers of its streams come
# at once, and a connection that finds no room looks to the balancer like a dead pod.
backlog = 4096
# The balancer keeps idle connections for reuse; it must be the one that closes them.
keepalive = 90
# A process frozen for less than this goes on when it wakes up, and finds itself fenced.
timeout = 60
graceful_timeout = 30
# Its file is in the user's home, the same one for all pods of a machine, and nobody here asks it.
control_socket_disable = True
accesslog = None
errorlog = "-"
loglevel = "warning"
# One JSON line a request is written by the application itself.
proc_name = f"kotaemon-{_settings.pod_name}"
limit_request_line = limits.HEADER_LINE_BYTES_MAX
limit_request_fields = limits.HEADERS_MAX
limit_request_field_size = limits.HEADER_LINE_BYTES_MAX


def when_ready(server: Any) -> None:
    """Bound what the kernel keeps for a client that does not read; connections inherit it."""
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.CLIENT_BUFFER_BYTES)


def post_worker_init(worker: Any) -> None:
    """Name the serving process to whoever supervises it."""
    if _settings.pod_pid_file is not None:
        _settings.pod_pid_file.write_text(f"{worker.pid}\n", encoding="ascii")


def child_exit(_server: Any, worker: Any) -> None:
    """End with the serving process, at once: the listening socket closes with us.

    Status 0 where it left as it should, so that whoever started the pod can tell that from a death.
    """
    left = worker.left[0] != 0
    if not left:
        sys.stderr.write(f"serving process {worker.pid} ended; so does its parent\n")
        sys.stderr.flush()
    os._exit(0 if left else 1)
