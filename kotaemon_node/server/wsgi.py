"""The WSGI application of a worker pod. Importing it builds and starts the pod."""

import os
import signal

from kotaemon_node.bootstrap import build_pod
from kotaemon_node.server.grpc_child import GrpcChild
from kotaemon_node.server.leave_port import LeavePort, Leaving
from kotaemon_node.server.requests import CountedRequests
from kotaemon_node.settings import Settings

_settings = Settings()
pod = build_pod(_settings)
app = CountedRequests(pod.app)
pod.start()


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


if _settings.leave_port is not None:
    _leaving = Leaving(take_no_more=pod.pod.drain, end=_stop, clock=pod.clock)
    LeavePort(_settings.pod_host, _settings.leave_port, _leaving).start()

if _settings.grpc_port is not None:
    GrpcChild(
        host=_settings.pod_address.rpartition(":")[0],
        port=_settings.grpc_port,
        pod_address=_settings.pod_address,
        balancers=_settings.balancer_networks,
        proxies=_settings.trusted_proxies,
        clock=pod.clock,
        draining=lambda: pod.pod.draining,
    ).start(pod.tasks)


def drain() -> None:
    """End what this pod does and leave the cluster; returns when the process may end."""
    pod.drain(idle=lambda: app.active == 0)
