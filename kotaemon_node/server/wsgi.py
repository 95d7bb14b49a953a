"""The WSGI application of a worker pod. Importing it builds and starts the pod."""

from kotaemon_node.bootstrap import build_pod
from kotaemon_node.server.requests import CountedRequests
from kotaemon_node.settings import Settings

pod = build_pod(Settings())
app = CountedRequests(pod.app)
pod.start()


def drain() -> None:
    """End what this pod does and leave the cluster; returns when the process may end."""
    pod.drain(idle=lambda: app.active == 0)
