"""Renders the configuration of one machine's Redis, HAProxy and supervisord; pure text."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kotaemon_node.local import broker, haproxy, redis_users
from kotaemon_node.local.cluster import Cluster
from kotaemon_node.local.folder import TLS_FOLDER
from kotaemon_node.local.haproxy_tls import Tls, own_host, port_suffix

# A stream holds one connection on each side.
CONNECTIONS_MAX = 40_000
_HAPROXY_HEAD = "# Load balancer of a cluster on one machine. Remade at each start."


def haproxy_config(cluster: Cluster, *, open_files_max: int, stopped: Collection[str] = ()) -> str:
    """Return ``haproxy.cfg``, with a line for every slot: scaling needs no reload.

    It only differs in where a HAProxy that starts expects pods: in the slots of the cluster,
    without those of the ``stopped`` workers. To these it sends requests from its first moment, to
    every other slot after its first good check.
    """
    expected = {f"worker-{slot}" for slot in range(cluster.workers)}.difference(stopped)
    servers = [
        haproxy.server_line(slot, f"127.0.0.1:{port}", expected=f"worker-{slot}" in expected)
        for slot, port in enumerate(cluster.worker_ports)
    ]
    # Two files a connection, and some for checks, listeners and logs.
    connections_max = min(CONNECTIONS_MAX, max(100, (open_files_max - 200) // 2))
    clients_max = connections_max - haproxy.WATCHERS_MAX
    return haproxy.render(
        haproxy.Place(
            head=_HAPROXY_HEAD,
            cluster_id=cluster.cluster_id,
            connections_bound=f"maxconn {connections_max}",
            clients_max=str(clients_max),
            public_address=f"{cluster.host}:{cluster.port}",
            watching_address=f"127.0.0.1:{cluster.balancer_metrics_port}",
            servers="\n".join(servers),
            resolved=False,
            admin_socket="unix@run/haproxy.sock",
            grpc_address=f"{cluster.host}:{cluster.grpc_port}" if cluster.grpc_port else "",
            grpc_servers="\n".join(
                haproxy.grpc_line(slot, f"127.0.0.1:{port}")
                for slot, port in enumerate(cluster.grpc_ports)
            ),
            tls=_tls(cluster) if cluster.tls else None,
            unless_proxy=haproxy.unless_proxy(cluster.trusted_proxies.split(",")),
        )
    )


def _tls(cluster: Cluster) -> Tls:
    return Tls(
        folder=TLS_FOLDER,
        try_host=own_host(cluster.host),
        try_port=str(cluster.port),
        hsts_s=str(cluster.hsts_s or ""),
        plain_address=f"{cluster.host}:{cluster.http_port}" if cluster.http_port else "",
        port_suffix=port_suffix(str(cluster.port)),
    )


def redis_config(
    cluster: Cluster,
    *,
    fsync: Literal["everysec", "always"] = "everysec",
    users: Sequence[str] = (),
) -> str:
    """Return ``redis.conf``: durable to the second, never evicting, for this machine alone.

    ``fsync="always"``: each reply waits until what it tells of is on the disk. ``users``: lines of
    who is let in; none: everybody.
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
            *users,
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
    leads = _as_user(cluster, "coordinator")
    table = [
        Program("coordinator", f"{python} -m coordinator.main", 20, _STOP_WAIT_S, leads),
        Program("haproxy", "haproxy -W -db -f haproxy.cfg", 30, _STOP_WAIT_S),
    ]
    for slot, port in enumerate(cluster.build_worker_ports[: cluster.build_workers]):
        environment = {
            "COORDINATOR_ROLE": "build-worker",
            "COORDINATOR_PORT": str(port),
            **leads,
        }
        # Stopped before the coordinator, which reads itself what they leave.
        command = f"{python} -m coordinator.main"
        table.append(
            Program(f"build-worker-{slot}", command, 25, _STOP_WAIT_S, environment, group=BUILDERS)
        )
    if cluster.turn_log:
        keeper = f"{python} -m kotaemon_node.cli.main turn-log"
        keeper += f" --health-port {cluster.turn_log_port}"
        environment = {
            "KOTAEMON_TURN_LOG": cluster.turn_log.replace("%", "%%"),
            **_as_user(cluster, "turn-log"),
        }
        # Stopped behind the workers, whose last turns it takes.
        table.append(Program("turn-log", keeper, 15, _STOP_WAIT_S, environment))
    if cluster.shop:
        shop = f"{python} -m shop --port {cluster.shop_port} --data orders"
        environment = {"PYTHONPATH": "%(ENV_KOTAEMON_SAMPLE)s"}
        # Stopped behind the workers: a call that runs gets its answer.
        table.append(Program("shop", shop, 15, _STOP_WAIT_S, environment))
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
        if cluster.grpc_port:
            environment["GRPC_PORT"] = str(cluster.grpc_ports[slot])
        table.append(
            Program(name, gunicorn, 40, _WORKER_STOP_WAIT_S, environment, group=WORKER_GROUP)
        )
    return table


def _as_user(cluster: Cluster, user: redis_users.User) -> dict[str, str]:
    """Return how a process is let in by the cluster's Redis, where that asks; else nothing."""
    if not cluster.redis_users:
        return {}
    return {"REDIS_URL": redis_users.url_of(cluster, user).replace("%", "%%")}


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
