"""Identity and ports of a cluster, chosen once and kept in ``cluster.json``."""

import json
import secrets
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder, write_json
from kotaemon_node.local.ports import all_free, choose_block

# HAProxy has a line for each slot from the start, so that scaling reloads nothing.
WORKER_SLOTS = 16
_REDIS, _COORDINATOR, _FIRST_WORKER = 0, 1, 2
_KAFKA = _FIRST_WORKER + WORKER_SLOTS
_KAFKA_CONTROLLER = _KAFKA + 1
BUILD_WORKER_SLOTS = 8
_FIRST_BUILD_WORKER = _KAFKA_CONTROLLER + 1
_BALANCER_METRICS = _FIRST_BUILD_WORKER + BUILD_WORKER_SLOTS
_SHOP = _BALANCER_METRICS + 1
_TURN_LOG = _SHOP + 1
_FIRST_GRPC = _TURN_LOG + 1
BLOCK_PORTS = _FIRST_GRPC + WORKER_SLOTS


@dataclass(frozen=True, slots=True)
class Cluster:
    """What must stay the same from one start to the next, and what the last start was given."""

    cluster_id: str
    folder: str
    """Absolute path: a copied data folder is noticed and gets an identity of its own."""
    first_port: int
    port: int
    """Of the balancer."""
    host: str
    workers: int
    redis_url: str
    """Empty: the cluster runs a Redis of its own."""
    own_kafka: bool = False
    """The bus is a Kafka broker that the cluster runs."""
    build_workers: int = 0
    shop: bool = False
    """The sample shop's order service runs beside it."""
    grpc_port: int | None = None
    """Of the balancer, for gRPC; None: the workers do not speak it."""
    turn_log: str = ""
    """Where the log of turns is taken; empty: nowhere."""
    tls: bool = False
    """The balancer speaks TLS, with the certificate that the data folder leads to."""
    hsts_s: int = 0
    http_port: int | None = None
    """Of the balancer, where plain HTTP is led to https; None: nowhere."""
    trusted_proxies: str = ""
    """Networks of proxies before the balancer whose word is taken, separated by commas."""
    redis_users: bool = False
    """Its own Redis knows each part as a user of its own."""
    knowledge: str = ""
    """Folder of the documents; empty: that of the data folder."""

    @property
    def redis_port(self) -> int:
        return self.first_port + _REDIS

    @property
    def coordinator_port(self) -> int:
        return self.first_port + _COORDINATOR

    @property
    def kafka_port(self) -> int:
        return self.first_port + _KAFKA

    @property
    def kafka_controller_port(self) -> int:
        """Where the broker talks to itself about metadata."""
        return self.first_port + _KAFKA_CONTROLLER

    @property
    def worker_ports(self) -> list[int]:
        """Ports of all slots, used or not."""
        first = self.first_port + _FIRST_WORKER
        return list(range(first, first + WORKER_SLOTS))

    @property
    def build_worker_ports(self) -> list[int]:
        """Ports of the build workers' health checks, those of all slots."""
        first = self.first_port + _FIRST_BUILD_WORKER
        return list(range(first, first + BUILD_WORKER_SLOTS))

    @property
    def balancer_metrics_port(self) -> int:
        """Where HAProxy tells how it is and what it has counted."""
        return self.first_port + _BALANCER_METRICS

    @property
    def shop_port(self) -> int:
        """Of the sample shop's order service."""
        return self.first_port + _SHOP

    @property
    def turn_log_port(self) -> int:
        """Of the health of what takes the log of turns."""
        return self.first_port + _TURN_LOG

    @property
    def grpc_ports(self) -> list[int]:
        """Ports of the workers' gRPC, those of all slots."""
        first = self.first_port + _FIRST_GRPC
        return list(range(first, first + WORKER_SLOTS))

    @property
    def url(self) -> str:
        """Where people and clients find the cluster."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "*") else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def load(folder: DataFolder) -> Cluster | None:
    """Return the cluster of a data folder, None where there never was one.

    ``LocalError`` where the file is damaged: to forget ports quietly would orphan processes.
    """
    try:
        text = folder.cluster_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LocalError(f"{folder.cluster_file} cannot be read: {error.strerror}.") from error
    try:
        said = json.loads(text)
        strange = sorted(set(said) - {at.name for at in fields(Cluster)})
        if strange:
            raise LocalError(
                f"{folder.cluster_file} was written by a newer version, which says"
                f" {', '.join(strange)[:200]}: use that one, or remove the file to give the cluster"
                " new ports."
            )
        return Cluster(**said)
    except (ValueError, TypeError) as error:
        raise LocalError(
            f"{folder.cluster_file} is damaged; remove it to give the cluster new ports."
        ) from error


def save(folder: DataFolder, cluster: Cluster) -> None:
    """Keep the cluster for the next command."""
    write_json(folder.cluster_file, asdict(cluster))


def settle(
    folder: DataFolder,
    *,
    port: int,
    host: str,
    workers: int,
    redis_url: str,
    own_kafka: bool = False,
    build_workers: int = 0,
    shop: bool = False,
    turn_log: str = "",
    grpc_port: int | None = None,
    tls: bool = False,
    hsts_s: int = 0,
    http_port: int | None = None,
    trusted_proxies: str = "",
    redis_users: bool = False,
    knowledge: str = "",
) -> Cluster:
    """Return this start's cluster: the kept identity and ports, new ones where they are taken."""
    kept = load(folder)
    if kept is None or kept.folder != str(folder.path):
        identity: dict[str, Any] = {
            "cluster_id": secrets.token_hex(4),
            "folder": str(folder.path),
            "first_port": 0,
        }
    else:
        identity = {name: getattr(kept, name) for name in ("cluster_id", "folder", "first_port")}
    now = Cluster(
        **identity,
        port=port,
        host=host,
        workers=workers,
        redis_url=redis_url,
        own_kafka=own_kafka,
        build_workers=build_workers,
        shop=shop,
        turn_log=turn_log,
        grpc_port=grpc_port,
        tls=tls,
        hsts_s=hsts_s,
        http_port=http_port,
        trusted_proxies=trusted_proxies,
        redis_users=redis_users,
        knowledge=knowledge,
    )
    if now.first_port and all_free(range(now.first_port, now.first_port + BLOCK_PORTS)):
        return now
    return replace(now, first_port=choose_block(BLOCK_PORTS))
