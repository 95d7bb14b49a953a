"""A balancer whose connections are used up: who watches it must not take it for dead."""

import socket
from contextlib import ExitStack
from pathlib import Path

import requests

from kotaemon_node.local import haproxy
from tests.balanced_pods import BalancedPods

# The fewest connections that a configuration has.
CONNECTIONS = 100


def test_a_full_balancer_still_says_that_it_is_well(tmp_path: Path) -> None:
    with BalancedPods(tmp_path, count=1) as site, ExitStack() as clients:
        site.start_balancer(expected=1, open_files_max=CONNECTIONS)
        site.wait_used("worker-0")
        watching = f"http://127.0.0.1:{site.cluster.balancer_metrics_port}"
        for _ in range(CONNECTIONS + haproxy.WATCHERS_MAX):
            client = socket.create_connection(("127.0.0.1", site.cluster.port), timeout=60)
            clients.enter_context(client).sendall(b"GET / HTTP/1.1\r\n")

        # New connections each: one that was open before would show nothing.
        assert requests.get(f"{watching}/healthz", timeout=8).status_code == 200
        shown = requests.get(f"{watching}/metrics", timeout=8).text
        clients_max = CONNECTIONS - haproxy.WATCHERS_MAX
        held = f'haproxy_frontend_current_sessions{{proxy="public"}} {clients_max}\n'
        assert held in shown
