"""Renders ``haproxy.cfg``, the same for every place where the cluster runs; pure text from values.

What differs between places is a ``Place``: the file itself is ``haproxy.cfg.tmpl``.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Final

from kotaemon_node.domain import limits
from kotaemon_node.local import haproxy_tls
from kotaemon_node.local.haproxy_tls import Tls

SESSION_COOKIE: Final = "kotaemon_session"
# 32,000 characters of three bytes each, their JSON and the headers.
BUFFER_BYTES: Final = 128 * 1024
# Room for the form around an uploaded document.
UPLOAD_BYTES_MAX: Final = limits.DOCUMENT_BYTES_MAX + 1024 * 1024
WATCHERS_MAX: Final = 50
"""Connections that are left for checks and metrics when those for clients are used up."""
SCRIPTS: Final = ("frozen_pods.lua", "first_check.lua", "certificates.lua")

# What HAProxy itself says where no pod can: the error form of the API. Codes as in domain.errors.
ERROR_PAGES: Final[Sequence[tuple[int, str, str, bool]]] = (
    (400, "malformed", "The request is not valid HTTP.", False),
    (404, "not_found", "There is nothing under this address.", False),
    (408, "deadline_exceeded", "The request did not arrive in time.", True),
    (413, "too_large", "The body is larger than allowed.", False),
    (500, "internal", "The load balancer failed.", True),
    (502, "unavailable", "The pod died before it answered; what it did is unknown.", True),
    (503, "unavailable", "No pod can serve this now.", True),
    (504, "deadline_exceeded", "The pod did not answer in time.", True),
)
_RETRY_AFTER_S: Final = 1

# Pods whose names are looked up. The server lines name hosts; a pod that was replaced has another
# address under its old name.
_RESOLVERS: Final = """
# Names only say where a pod is; whether it serves, its check says.
resolvers names
    parse-resolv-conf
    accepted_payload_size 8192
    resolve_retries 3
    timeout resolve 1s
    timeout retry 1s
    hold valid 1s
    # Without a name there is no pod: its address may be another's by now.
    hold nx 1s
    hold obsolete 0s
    # A name server that is down or refuses changes nothing: pods keep their last address.
    hold timeout 1h
    hold refused 1h
    hold other 1h
"""
# At the start the system's resolver is asked, so that the first request finds its pod.
_RESOLVED: Final = (
    "    default-server resolvers names resolve-prefer ipv4 init-addr last,libc,none\n"
)
# gRPC is HTTP/2, between balancer and pods without encryption. A turn may say nothing for as long
# as it may take; pods that die meanwhile are seen by the checks of the backend above, which these
# servers follow.
_GRPC: Final = """
frontend grpc
${bind}    maxconn ${clients_max}
    timeout client ${turn_s}s
    log stdout format raw daemon err
    option dontlog-normal
    # What names no method is told so here: bytes that are no text would end a pod's gRPC server.
    acl method pathq -m reg ^/[A-Za-z0-9_.]+/[A-Za-z0-9_]+$$
    http-request return status 200 hdr grpc-status 12 hdr grpc-message UNIMPLEMENTED unless method
    # HAProxy says no type of an answer without a body, and callers take none without a type.
    acl typed res.hdr(content-type) -m found
    http-after-response set-header content-type application/grpc if !typed
    http-request set-header X-Turn-Default %[unique-id]
    acl named req.hdr(x-session-id) -m len 1:128
${origin}    # Of a header that comes twice gRPC shows the last alone: all entries go into one.
    acl told req.fhdr(X-Forwarded-For) -m found
    http-request set-header X-Forwarded-For "%[req.fhdr(X-Forwarded-For)], %[src]" if told
    http-request set-header X-Forwarded-For %[src] if !told
    http-request set-var(txn.key) req.hdr(x-session-id) if named
    http-request set-var(txn.key) unique-id if !{ var(txn.key) -m len 1:128 }
    default_backend grpc_workers

backend grpc_workers
    balance hash var(txn.key)
    hash-type consistent sdbm avalanche
    hash-balance-factor 200
    timeout server ${turn_s}s
    option redispatch 1
    retries 2
    retry-on conn-failure
    # As in the backend that is followed: who leaves takes nothing new.
    option httpchk
    http-check disable-on-404
    default-server proto h2 weight 64 on-marked-down shutdown-sessions
${own_server_defaults}${servers}
"""
EMPTY: Final = " weight 0"
"""Behind the line of a slot in which no pod is expected at the start."""
NOT_LOOKED_UP: Final = " init-addr none"
"""Behind that, where lines hold names: a name server that is away holds up no start for them."""


@dataclass(frozen=True, slots=True)
class Place:
    """What one place fills into the template: text of ``haproxy.cfg``, or of a Go template."""

    head: str
    """Comment lines that say who made the file; they end without a new line."""
    cluster_id: str
    connections_bound: str
    """``maxconn``, or ``fd-hard-limit``: then as many as the open files of its process allow."""
    clients_max: str
    """Connections of clients; fewer than of all, so that a full balancer still answers checks."""
    public_address: str
    """Where clients come, as ``bind`` takes it."""
    watching_address: str
    """Where checks of this process and its metrics are answered; no client should reach it."""
    servers: str
    """The lines of all worker slots."""
    resolved: bool
    """The server lines hold names that change their address."""
    server_timeout_s: str = "75"
    """Silence of a pod that ends a stream."""
    admin_socket: str = ""
    """Where a command of this machine may ask and change anything; empty: nowhere."""
    grpc_address: str = ""
    """Where callers of gRPC come, as ``bind`` takes it; empty: nowhere."""
    grpc_servers: str = ""
    """The lines of the same slots (``grpc_line``)."""
    grpc_around: tuple[str, str] = ("", "")
    """What stands before and behind all of gRPC: a condition of a Go template."""
    user: str = ""
    """What a HAProxy that was started by root becomes; empty: it stays what it is."""
    tls: Tls | None = None
    """How it speaks TLS; None: it does not."""
    unless_proxy: str = ""
    """Ends rules that are not for proxies before this one whose word is taken (``unless``)."""


def render(place: Place) -> str:
    """Return the file of one place."""
    socket = f"    stats socket {place.admin_socket} mode 600 level admin\n"
    user = f"    user {place.user}\n    group {place.user}\n"
    return Template(_shipped("haproxy.cfg.tmpl")).substitute(
        head=place.head,
        own_globals=(socket if place.admin_socket else "") + (user if place.user else ""),
        connections_bound=place.connections_bound,
        clients_max=place.clients_max,
        turn_s=int(limits.TURN_TIMEOUT_S),
        buffer_bytes=BUFFER_BYTES,
        error_pages="\n".join(_error_page(*page) for page in ERROR_PAGES),
        resolvers=_RESOLVERS if place.resolved else "",
        server_timeout_s=place.server_timeout_s,
        tls_globals=haproxy_tls.global_lines(place.tls),
        tls_watching=haproxy_tls.watching_lines(place.tls),
        public_bind=haproxy_tls.public_bind(place.tls, place.public_address),
        origin=haproxy_tls.origin_lines(place.tls, unless=place.unless_proxy),
        hsts=haproxy_tls.hsts_lines(place.tls),
        redirect=haproxy_tls.redirect_section(place.tls, clients_max=place.clients_max),
        watching_address=place.watching_address,
        cluster_id=place.cluster_id,
        upload_bytes_max=UPLOAD_BYTES_MAX,
        body_bytes_max=limits.BODY_BYTES_MAX,
        session_cookie=SESSION_COOKIE,
        own_server_defaults=_RESOLVED if place.resolved else "",
        servers=place.servers,
        grpc=_grpc_sections(place),
    )


def _grpc_sections(place: Place) -> str:
    if not place.grpc_address:
        return ""
    before, behind = place.grpc_around
    sections = Template(_GRPC).substitute(
        bind=haproxy_tls.grpc_bind(place.tls, place.grpc_address),
        origin=haproxy_tls.origin_lines(place.tls, unless=place.unless_proxy),
        clients_max=place.clients_max,
        turn_s=int(limits.TURN_TIMEOUT_S) + 60,
        own_server_defaults=_RESOLVED if place.resolved else "",
        servers=place.grpc_servers,
    )
    return before + sections + behind


def unless_proxy(networks: Sequence[str]) -> str:
    """Return the end of rules that are not for proxies of these networks (``Place``)."""
    named = " ".join(filter(None, map(str.strip, networks)))
    return f" unless {{ src {named} }}" if named else ""


def grpc_line(slot: int, address: str) -> str:
    """Return the line of a worker slot's gRPC: up and down with its line of HTTP."""
    return f"    server worker-{slot} {address} id {slot + 1} track workers/worker-{slot}"


def server_line(slot: int, address: str, *, expected: bool) -> str:
    """Return the line of one worker slot, reached at ``address`` (host:port).

    ``expected``: a HAProxy that starts sends requests there before its first check.
    """
    # HAProxy's ids begin at 1; they keep each slot's place on the hash ring.
    line = f"    server worker-{slot} {address} id {slot + 1}"
    return line if expected else line + EMPTY


def scripts() -> dict[str, str]:
    """Return the Lua that ``haproxy.cfg`` loads from beside it, by file name."""
    return {name: _shipped(name) for name in SCRIPTS}


def _error_page(status: int, code: str, message: str, retryable: bool) -> str:
    error = {"code": code, "message": message, "retryable": retryable, "trace_id": "%[unique-id]"}
    body = json.dumps({"error": error}).replace('"', '\\"')
    headers = " hdr X-Trace-ID %[unique-id] hdr Cache-Control no-store"
    if status == 503:
        headers += f" hdr Retry-After {_RETRY_AFTER_S}"
    return (
        f'    http-error status {status} content-type application/json lf-string "{body}"{headers}'
    )


def _shipped(name: str) -> str:
    return files("kotaemon_node.local").joinpath(name).read_text("utf-8")
