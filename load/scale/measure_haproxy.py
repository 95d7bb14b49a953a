"""What pods that are checked and streams that are open cost a real HAProxy with the product's file.

A second HAProxy stands for the pods: it answers checks, and streams come from a server of its own.
"""

import re
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from kotaemon_node.local import config, haproxy
from kotaemon_node.local.cluster import BLOCK_PORTS, Cluster
from kotaemon_node.local.ports import choose_block
from load.scale.measure_bus import until
from tests.redis_server import free_port

FEW, MANY = 20, 420
_STREAMS = 400
_LOOK_S = 6.0
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n: open\n\n"


def measured() -> dict[str, float]:
    """Return the costs of a check, of a pod that is there, and of an open stream."""
    with _pods() as pods:
        with _balancer(FEW, pods) as few:
            few_us, few_bytes = _idle(few), few.memory_info().rss
        with _balancer(MANY, pods) as many:
            many_us, many_bytes = _idle(many), many.memory_info().rss
    return {
        "haproxy_check_us": (many_us - few_us) / (MANY - FEW) / 2.0,
        "haproxy_server_bytes": (many_bytes - few_bytes) / (MANY - FEW),
        "haproxy_stream_bytes": _stream_bytes(),
    }


@contextmanager
def _pods() -> Iterator[int]:
    """Answer checks on a port, as a pod that is well."""
    port = free_port()
    text = (
        "defaults\n mode http\n timeout client 10s\n"
        f"frontend pods\n bind 127.0.0.1:{port}\n http-request return status 200\n"
    )
    with _running(text, scripts=False) as _:
        until(lambda: _answers(port))
        yield port


@contextmanager
def _balancer(servers: int, port: int) -> Iterator[psutil.Process]:
    """Run the product's HAProxy before so many pods, which are all behind one port."""
    text = _file(servers, port)
    with _running(text, scripts=True) as process:
        time.sleep(2.0)  # the first checks of all, and what they change
        yield process


def _file(servers: int, port: int) -> str:
    block = choose_block(BLOCK_PORTS + 1)
    cluster = Cluster(
        cluster_id="scale",
        folder="/unused",
        first_port=block,
        port=block + BLOCK_PORTS,
        host="127.0.0.1",
        workers=1,
        redis_url="",
    )
    text = config.haproxy_config(cluster, open_files_max=4_096)
    lines = [it for it in text.splitlines() if re.match(r"\s+server worker-\d+ ", it)]
    first = lines[0]
    made = [
        re.sub(r":\d+", f":{port}", re.sub(r"id \d+", f"id {number + 1}", first), count=1).replace(
            "worker-0", f"worker-{number}"
        )
        for number in range(servers)
    ]
    kept = [it for it in text.splitlines() if it not in lines[1:] and "stats socket" not in it]
    return "\n".join(kept).replace(first, "\n".join(made)) + "\n"


@contextmanager
def _running(text: str, *, scripts: bool) -> Iterator[psutil.Process]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "haproxy.cfg").write_text(text)
        for name, script in haproxy.scripts().items() if scripts else ():
            (path / name).write_text(script)
        log = (path / "log").open("wb")
        process = subprocess.Popen(
            ["haproxy", "-db", "-f", "haproxy.cfg"], cwd=path, stdout=log, stderr=log
        )
        try:
            time.sleep(0.5)
            if process.poll() is not None:
                raise RuntimeError((path / "log").read_text())
            yield psutil.Process(process.pid)
        finally:
            process.kill()
            process.wait()
            log.close()


def _idle(process: psutil.Process) -> float:
    before_s = _cpu_s(process)
    time.sleep(_LOOK_S)
    if process.status() == psutil.STATUS_ZOMBIE:
        raise RuntimeError("HAProxy ended while it was measured")
    return (_cpu_s(process) - before_s) / _LOOK_S * 1e6


def _stream_bytes() -> float:
    """Return what a stream takes that is open through it and says nothing."""
    held = []
    with _streaming() as port:
        text = _file(1, port)
        public = int(re.findall(r"bind 127\.0\.0\.1:(\d+)", text)[-1])
        with _running(text, scripts=True) as process:
            until(lambda: _answers(public))
            held += [_opened(public, number) for number in range(_STREAMS // 4)]
            before = process.memory_info().rss
            held += [_opened(public, number) for number in range(_STREAMS)]
            after = process.memory_info().rss
            for one in held:
                one.close()
    return (after - before) / _STREAMS


def _opened(port: int, number: int) -> socket.socket:
    """Open a stream and return when it has begun."""
    one = socket.create_connection(("127.0.0.1", port), timeout=10)
    one.sendall(b"GET /v1/sessions/s%d/stream HTTP/1.1\r\nHost: scale\r\n\r\n" % number)
    said = b""
    while b": open" not in said:
        piece = one.recv(4096)
        if not piece:
            raise RuntimeError(f"the stream ended: {said[:200]!r}")
        said += piece
    return one


@contextmanager
def _streaming() -> Iterator[int]:
    """Answer checks, and open a stream for whoever asks for anything else; on threads."""
    over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked = self.request.recv(65_536)
            if b"/balancer/" in asked:
                self.request.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                return
            self.request.sendall(_HEAD)
            over.wait()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 1_024

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            over.set()
            server.shutdown()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
