"""Asks each process whether it is ready, the way its own clients would."""

import http
import http.client
import json
import socket
import ssl
import struct
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from kotaemon_node.local.cluster import Cluster

_TIMEOUT_S = 1.0
_REDIS_DEFAULT_PORT = 6379


def ready(cluster: Cluster, names: list[str]) -> dict[str, bool]:
    """Ask all of these processes at the same time; a silent one costs a second."""
    if not names:
        return {}
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        answers = pool.map(lambda name: is_ready(cluster, name), names)
        return dict(zip(names, answers, strict=True))


def is_ready(cluster: Cluster, name: str) -> bool:
    """Tell whether this process serves now."""
    match name:
        case "redis":
            return redis_answers("127.0.0.1", cluster.redis_port)
        case "kafka":
            return kafka_answers("127.0.0.1", cluster.kafka_port)
        case "haproxy":
            return _is_our_balancer(cluster)
        case "coordinator":
            return _get(cluster.coordinator_port, "/readyz") is not None
        case "shop" | "turn-log":  # where the log goes may be away: then it waits
            return _get(port_of(cluster, name), "/healthz") is not None
        case _:
            return _get(port_of(cluster, name), "/readyz") is not None


def reading(cluster: Cluster) -> str:
    """Return how far a coordinator that is not ready yet has read its folder; "" where unknown."""
    answer = _asked(cluster.coordinator_port, "/readyz")
    if answer is None:
        return ""
    try:
        known = json.loads(answer[1])["knowledge"].values()
        passages = sum(one["passages"] for one in known)
        waiting = sum(one["documents"]["waiting"] for one in known)
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""  # another version's, or nobody's we know
    return f"{passages:,} passages are indexed, {waiting:,} documents wait" if passages else ""


def documents(cluster: Cluster) -> dict[str, Counter[str]]:
    """Return how many documents each knowledge base has by state; empty where that is unknown."""
    answer = _asked(cluster.coordinator_port, "/readyz")
    if answer is None:
        return {}
    try:
        known = json.loads(answer[1])["knowledge"]
        return {kb: Counter(one["documents"]) for kb, one in known.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}  # another version's, or nobody's we know


def port_of(cluster: Cluster, name: str) -> int:
    """Return the port on which a process listens."""
    fixed = {
        "redis": cluster.redis_port,
        "kafka": cluster.kafka_port,
        "haproxy": cluster.port,
        "coordinator": cluster.coordinator_port,
        "shop": cluster.shop_port,
        "turn-log": cluster.turn_log_port,
    }
    if name in fixed:
        return fixed[name]
    if name.startswith("build-worker-"):
        return cluster.build_worker_ports[int(name.removeprefix("build-worker-"))]
    return cluster.worker_ports[int(name.removeprefix("worker-"))]


def _is_our_balancer(cluster: Cluster) -> bool:
    """The address holds the cluster's id: a stranger on our port does not count as our balancer."""
    path = f"/balancer/{cluster.cluster_id}"
    return _get(cluster.port, path, host=cluster.url, tls=cluster.tls) is not None


def _get(port: int, path: str, *, host: str = "", tls: bool = False) -> bytes | None:
    """Return the body of a 200, else None."""
    answer = _asked(port, path, host=host, tls=tls)
    return answer[1] if answer is not None and answer[0] == http.HTTPStatus.OK else None


def _asked(port: int, path: str, *, host: str = "", tls: bool = False) -> tuple[int, bytes] | None:
    """Return status and body; None without an answer. Probing must not fail, whoever is there."""
    name = (urlsplit(host).hostname if host else None) or "127.0.0.1"
    connection = http.client.HTTPConnection(name, port, timeout=_TIMEOUT_S)
    if tls:
        connection = http.client.HTTPSConnection(
            name, port, timeout=_TIMEOUT_S, context=_whoever_answers()
        )
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _whoever_answers() -> ssl.SSLContext:
    """The certificate is for another name than 127.0.0.1, and nothing secret is asked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def redis_answers(host: str, port: int) -> bool:
    """Tell whether Redis is up and has read its append-only file.

    One that wants a password answers ``-NOAUTH``: it is up, and the pods have the password.
    """
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


def kafka_answers(host: str, port: int) -> bool:
    """Tell whether a broker takes requests, by asking which versions of them it knows.

    Its port is open earlier, while it still reads its log; then it does not answer.
    """
    correlation, client = 7, b"probe"
    request = struct.pack(f">hhih{len(client)}s", 18, 0, correlation, len(client), client)
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            return connection.recv(8)[4:] == struct.pack(">i", correlation)
    except OSError:
        return False


def redis_url_answers(url: str) -> bool | None:
    """Ask the Redis of a ``redis://`` URL; None for forms that only its client can open."""
    parts = urlsplit(url)
    if parts.scheme != "redis" or "," in parts.netloc:
        return None
    return redis_answers(parts.hostname or "127.0.0.1", parts.port or _REDIS_DEFAULT_PORT)
