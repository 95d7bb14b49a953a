"""Looks for what would stop a start, and says it in one sentence before anything is started."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

from pydantic import ValidationError

from kotaemon_node.adapters.redis.address import StoreAddress
from kotaemon_node.adapters.redis.connection import connect
from kotaemon_node.adapters.redis.durability import Level, NeverDurable
from kotaemon_node.domain.document_names import temporary
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.local import probes, tls
from kotaemon_node.local.cluster import BUILD_WORKER_SLOTS, WORKER_SLOTS
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.plan import Plan
from kotaemon_node.local.ports import obstacle
from kotaemon_node.settings import Settings

# HAProxy is in sbin, which Debian leaves out of the search path of ordinary users.
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
PACKAGES = {"redis-server": "redis-server", "haproxy": "haproxy"}


def search_path() -> str:
    """Return the search path for programs, with the folders where servers are installed."""
    path = os.environ.get("PATH", os.defpath)
    return os.pathsep.join([path, *(folder for folder in SBIN if folder not in path.split(":"))])


def read_settings() -> Settings:
    """Return the settings of the environment; ``LocalError`` names each variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            # What is wrong with two settings together names them itself, and belongs to none.
            ": ".join(
                filter(None, [".".join(str(part) for part in item["loc"]).upper(), item["msg"]])
            )
            for item in error.errors()
        )
        raise LocalError(f"The environment holds a wrong setting: {wrong}.") from error


def check_programs(*, own_redis: bool) -> None:
    """Make sure that the servers are installed."""
    wanted = ["redis-server", "haproxy"] if own_redis else ["haproxy"]
    missing = [name for name in wanted if shutil.which(name, path=search_path()) is None]
    if missing:
        packages = " ".join(PACKAGES[name] for name in missing)
        are = "is" if len(missing) == 1 else "are"
        raise LocalError(
            f"{' and '.join(missing)} {are} not installed; on Debian and Ubuntu run"
            f" `sudo apt-get install {packages}`."
        )


def check_workers(workers: int) -> None:
    """Make sure that the balancer has a slot for each worker."""
    if not 1 <= workers <= WORKER_SLOTS:
        raise LocalError(
            f"A cluster on one machine has 1 to {WORKER_SLOTS} workers, not {workers}."
        )


def check_build_workers(build_workers: int, *, kafka: bool) -> None:
    """Make sure that each build worker has a port, and a bus that gives it tasks."""
    if not 0 <= build_workers <= BUILD_WORKER_SLOTS:
        raise LocalError(
            f"A cluster on one machine has 0 to {BUILD_WORKER_SLOTS} build workers,"
            f" not {build_workers}."
        )
    if build_workers and not kafka:
        raise LocalError("Build workers get their tasks from Kafka; add `--bus kafka`.")


def check_port(host: str, port: int) -> None:
    """Make sure that the balancer can listen."""
    if not 1 <= port <= 65_535:
        raise LocalError(f"{port} is not a port; choose one from 1 to 65535 with --port.")
    address = "0.0.0.0" if host == "*" else host
    hindered = obstacle(port, host=address)
    if hindered is None:
        return
    if hindered.errno == errno.EADDRINUSE:
        raise LocalError(
            f"Port {port} on {host} is busy; stop what listens there or choose another with --port."
        )
    if hindered.errno == errno.EACCES:
        raise LocalError(
            f"Port {port} on {host} is for the system's own services; choose one above 1023 with"
            " --port."
        )
    raise LocalError(
        f"Nothing can listen on {host}, port {port} ({hindered.strerror or hindered}); name an"
        " address of this machine with --host."
    )


def check_tls(plan: Plan, *, host: str) -> None:
    """Make sure that the balancer can use its certificate, and listen for who comes without TLS."""
    if plan.tls_cert is not None:
        tls.check(plan.tls_cert, plan.tls_key)
    elif plan.tls_key is not None:
        raise LocalError("--tls-key is the key of a certificate: name that with --tls-cert.")
    if plan.http_port is not None:
        if plan.tls_cert is None:
            raise LocalError("--http-port leads to https: name a certificate with --tls-cert.")
        check_port(host, plan.http_port)


def check_knowledge(folder: Path) -> None:
    """Make sure that there is a folder to watch."""
    if folder.is_file():
        raise LocalError(f"{folder} is a file; name the folder that it lies in with --knowledge.")
    if not folder.is_dir():
        raise LocalError(
            f"The knowledge folder {folder} does not exist; name one with --knowledge."
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        raise LocalError(
            f"The knowledge folder {folder} cannot be read by this user; name one with --knowledge."
        )


def check_apart(knowledge: Path, data: Path) -> None:
    """Make sure that the cluster does not read its own files as documents, over and over."""
    try:
        between = data.resolve().relative_to(knowledge.resolve())
    except ValueError:
        return
    if not any(temporary(step) for step in between.parts):
        raise LocalError(
            f"The data folder {data} lies in the knowledge folder {knowledge}, where the cluster"
            " would read its own files as documents; name another one with --data."
        )


def check_plugins(folder: Path) -> None:
    """Make sure that there is a folder of plugins to watch."""
    if not folder.is_dir():
        raise LocalError(f"The plugin folder {folder} does not exist; name one with --plugins.")


def check_redis(url: str) -> None:
    """Make sure that a Redis somebody else runs can be named and reached."""
    try:
        StoreAddress.of(url)
    except ValueError as error:
        raise LocalError(str(error)) from error
    if url.startswith("rediss"):
        _check_encrypted(url)
    if probes.redis_url_answers(url) is False:
        raise LocalError(
            "The Redis named by REDIS_URL does not answer; start it, or unset REDIS_URL to run"
            " the cluster with a Redis of its own."
        )


def _check_encrypted(url: str) -> None:
    try:
        connect(url, pool_max=1).pipelined(lambda pipe: pipe.ping())
    except StoreUnavailable as error:
        raise LocalError(f"The Redis named by REDIS_URL cannot be used: {error}.") from error


def kafka_answers(settings: Settings) -> bool:
    """Tell whether one of these brokers answers; ``LocalError`` where they are no addresses.

    A broker behind TLS cannot be asked from here; the pods will.
    """
    # Kafka's client takes a quarter of the start of a command; most clusters have no Kafka.
    from kotaemon_node.adapters.kafka.address import KafkaAddress  # noqa: PLC0415 - see above

    try:
        address = KafkaAddress.of(settings)
    except ValueError as error:
        raise LocalError(f"{error}.") from error
    if address.security_protocol.endswith("SSL"):
        return True
    places = [server.rpartition(":") for server in address.servers]
    return any(probes.kafka_answers(host, int(port)) for host, _, port in places)


def check_durability(level: Level, url: str) -> None:
    """Make sure that the Redis can be as durable as asked; ``url`` is empty for our own."""
    if level == "replica" and not url:
        raise LocalError(
            "DURABILITY=replica needs a Redis with a replica, and the cluster's own has none; name"
            " one by REDIS_URL, or choose DURABILITY=fsync."
        )
    if not url:
        return
    try:
        connect(url, durability=level).check_durability()
    except NeverDurable as error:
        raise LocalError(str(error)) from error


def check_haproxy_config(folder: DataFolder) -> None:
    """Let HAProxy judge its configuration; a version that is too old shows here."""
    haproxy = shutil.which("haproxy", path=search_path()) or "haproxy"
    verdict = subprocess.run(
        [haproxy, "-c", "-f", folder.haproxy_config.name],
        cwd=folder.path,
        capture_output=True,
        text=True,
        check=False,
    )
    if verdict.returncode != 0:
        alerts = [line for line in verdict.stderr.splitlines() if "[ALERT]" in line]
        reason = alerts[0] if alerts else f"status {verdict.returncode}"
        raise LocalError(
            f"HAProxy refuses {folder.haproxy_config} (2.6 or newer is needed): {reason}"
        )
