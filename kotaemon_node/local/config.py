"""Renders the configuration of Redis, HAProxy and supervisord; pure text from values."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from string import Template
from typing import Literal

from kotaemon_node.domain import limits
from kotaemon_node.local import broker
from kotaemon_node.local.cluster import Cluster

SESSION_COOKIE = "kotaemon_session"
# 32,000 characters of three bytes each, their JSON and the headers.
BUFFER_BYTES = 128 * 1024
# A stream holds one connection on each side.
CONNECTIONS_MAX = 40_000
# Room for the form around an uploaded document.
UPLOAD_BYTES_MAX = limits.DOCUMENT_BYTES_MAX + 1024 * 1024

# What HAProxy itself says where no pod can: the error form of the API. Codes as in domain.errors.
ERROR_PAGES: Sequence[tuple[int, str, str, bool]] = (
    (400, "malformed", "The request is not valid HTTP.", False),
    (404, "not_found", "There is nothing under this address.", False),
    (408, "deadline_exceeded", "The request did not arrive in time.", True),
    (413, "too_large", "The body is larger than allowed.", False),
    (500, "internal", "The load balancer failed.", True),
    (502, "unavailable", "The pod died before it answered; what it did is unknown.", True),
    (503, "unavailable", "No pod can serve this now.", True),
    (504, "deadline_exceeded", "The pod did not answer in time.", True),
)
_RETRY_AFTER_S = 1


def haproxy_config(cluster: Cluster, *, open_files_max: int, stopped: Collection[str] = ()) -> str:
    """Return ``haproxy.cfg``, with a line for every slot: scaling needs no reload.

    It only differs in where a HAProxy that starts expects pods: in the slots of the cluster,
    without those of the ``stopped`` workers. To these it sends requests from its first moment, to
    every other slot after its first good check.
    """
    template = _shipped("haproxy.cfg.tmpl")
    expected = {f"worker-{slot}" for slot in range(cluster.workers)}.difference(stopped)
    servers = [
        _server(f"worker-{slot}", slot, port, expected=f"worker-{slot}" in expected)
        for slot, port in enumerate(cluster.worker_ports)
    ]
    return Template(template).substitute(
        host=cluster.host,
        port=cluster.port,
        cluster_id=cluster.cluster_id,
        # Two files a connection, and some for checks, listeners and logs.
        connections_max=min(CONNECTIONS_MAX, max(100, (open_files_max - 200) // 2)),
        turn_s=int(limits.TURN_TIMEOUT_S),
        buffer_bytes=BUFFER_BYTES,
        body_bytes_max=limits.BODY_BYTES_MAX,
        upload_bytes_max=UPLOAD_BYTES_MAX,
        session_cookie=SESSION_COOKIE,
        error_pages="\n".join(_error_page(*page) for page in ERROR_PAGES),
        servers="\n".join(servers),
    )


def _server(name: str, slot: int, port: int, *, expected: bool) -> str:
    # HAProxy's ids begin at 1; they keep each slot's place on the hash ring.
    line = f"    server {name} 127.0.0.1:{port} id {slot + 1}"
    return line if expected else f"{line} weight 0"


def _error_page(status: int, code: str, message: str, retryable: bool) -> str:
    error = {"code": code, "message": message, "retryable": retryable, "trace_id": "%[unique-id]"}
    body = json.dumps({"error": error}).replace('"', '\\"')
    headers = " hdr X-Trace-ID %[unique-id] hdr Cache-Control no-store"
    if status == 503:
        headers += f" hdr Retry-After {_RETRY_AFTER_S}"
    return (
        f'    http-error status {status} content-type application/json lf-string "{body}"{headers}'
    )


def haproxy_scripts() -> dict[str, str]:
    """Return the Lua that ``haproxy.cfg`` loads from beside it, by file name."""
    return {name: _shipped(name) for name in ("frozen_pods.lua", "first_check.lua")}


def _shipped(name: str) -> str:
    return files("kotaemon_node.local").joinpath(name).read_text("utf-8")


def redis_config(cluster: Cluster, *, fsync: Literal["everysec", "always"] = "everysec") -> str:
    """Return ``redis.conf``: durable to the second, never evicting, for this machine alone.

    ``fsync="always"``: each reply waits until what it tells of is on the disk.
    """
    return "\n".join(
        (
            "# Remade at each start. Paths are relative to the data folder.",
            "bind 127.0.0.1",
            f"port {cluster.redis_port}",
            "daemonize no",
            "dir redis",
            "appendonly yes",
            f"appendfsync {fsync}",
            # The append-only file holds everything; a second copy would only cost a fork.
            'save ""',
            "maxmemory-policy noeviction",
            "tcp-keepalive 60",
            "",
        )
    )


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised process."""

    name: str
    command: str
    """For supervisord: relative to the data folder, ``%(ENV_…)s`` for what may hold any letter."""
    priority: int
    """supervisord stops the highest first, each priority whole before the next."""
    stop_wait_s: int
    environment: dict[str, str] = field(default_factory=dict)
    group: str = ""
    """Processes of one group stop together instead of one after the other."""


# A stuck process is killed after its wait; a worker gets longer than its own grace (30 s).
_STOP_WAIT_S = 10
_WORKER_STOP_WAIT_S = 35
# supervisord's own name for a process that died sooner than this is "backing off": it is started
# again after 1 s, then 2 s, … A process that lived longer is started again at once.
_YOUNG_S = 1
_RESTARTS_MAX = 1_000_000
WORKER_GROUP = "workers"
BUILDERS = "build-workers"


def programs(cluster: Cluster) -> list[Program]:
    """Return every process of the cluster, all worker slots included."""
    python = '"%(ENV_KOTAEMON_PYTHON)s"'
    table = [
        Program("coordinator", f"{python} -m coordinator.main", 20, _STOP_WAIT_S),
        Program("haproxy", "haproxy -W -db -f haproxy.cfg", 30, _STOP_WAIT_S),
    ]
    for slot, port in enumerate(cluster.build_worker_ports[: cluster.build_workers]):
        environment = {"COORDINATOR_ROLE": "build-worker", "COORDINATOR_PORT": str(port)}
        # Stopped before the coordinator, which reads itself what they leave.
        command = f"{python} -m coordinator.main"
        table.append(
            Program(f"build-worker-{slot}", command, 25, _STOP_WAIT_S, environment, group=BUILDERS)
        )
    if cluster.own_kafka:
        table.insert(0, Program("kafka", broker.COMMAND, 10, _STOP_WAIT_S))
    if not cluster.redis_url:
        table.insert(0, Program("redis", "redis-server redis.conf", 10, _STOP_WAIT_S))
    gunicorn = (
        f"{python} -m gunicorn -c python:kotaemon_node.server.gunicorn_conf"
        " kotaemon_node.server.wsgi:app"
    )
    for slot, port in enumerate(cluster.worker_ports):
        name = f"worker-{slot}"
        environment = {
            "POD_NAME": name,
            "POD_ADDRESS": f"127.0.0.1:{port}",
            "POD_PID_FILE": f"run/{name}.pid",
        }
        table.append(
            Program(name, gunicorn, 40, _WORKER_STOP_WAIT_S, environment, group=WORKER_GROUP)
        )
    return table


# /proc/self/cwd is the data folder, whatever its name: a socket's path may only have 107 bytes.
SOCKET = "/proc/self/cwd/run/supervisor.sock"


def supervisord_config(cluster: Cluster) -> str:
    """Return ``supervisord.conf``. Nothing starts by itself: ``launch`` starts in order."""
    table = programs(cluster)
    lines = [
        "; Remade at each start. supervisord runs in the data folder: paths are relative to it.",
        "[unix_http_server]",
        f"file = {SOCKET}",
        "chmod = 0700",
        "[supervisord]",
        "nodaemon = true",
        "silent = true",
        "logfile = logs/supervisord.log",
        "logfile_maxbytes = 5MB",
        "logfile_backups = 1",
        "pidfile = run/supervisord.pid",
        "nocleanup = true",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in table:
        lines += _program_section(program)
    groups = sorted({program.group for program in table if program.group})
    for group in groups:
        members = [program for program in table if program.group == group]
        lines += [
            f"[group:{group}]",
            "programs = " + ",".join(member.name for member in members),
            f"priority = {members[0].priority}",
        ]
    return "\n".join(lines) + "\n"


def _program_section(program: Program) -> list[str]:
    environment = ",".join(f'{key}="{value}"' for key, value in program.environment.items())
    lines = [
        f"[program:{program.name}]",
        f"command = {program.command}",
        "autostart = false",
        "autorestart = true",
        f"startsecs = {_YOUNG_S}",
        f"startretries = {_RESTARTS_MAX}",
        f"priority = {program.priority}",
        f"stopwaitsecs = {program.stop_wait_s}",
        # TERM goes to the parent, which knows how its children leave; KILL spares none of them.
        "stopasgroup = false",
        "killasgroup = true",
        "redirect_stderr = true",
        f"stdout_logfile = logs/{program.name}.log",
        "stdout_logfile_maxbytes = 10MB",
        "stdout_logfile_backups = 2",
    ]
    if environment:
        lines.append(f"environment = {environment}")
    return lines
