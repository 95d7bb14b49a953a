"""The WSGI application of a worker pod. Importing it builds and starts the pod."""

from kotaemon_node.bootstrap import build_pod
from kotaemon_node.settings import Settings

pod = build_pod(Settings())
app = pod.app
pod.start()
