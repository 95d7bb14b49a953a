"""What a start will use: the user's wishes, then the environment, then our own defaults."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kotaemon_node.local import places
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.sample import sample_shop
from kotaemon_node.settings import Settings


@dataclass(frozen=True, slots=True)
class Wishes:
    """What ``kotaemon up`` was asked for."""

    folder: DataFolder
    workers: int
    port: int
    host: str
    knowledge: Path | None
    detach: bool
    bus: Literal["redis", "kafka"] | None = None
    """None: Kafka or RabbitMQ where the environment names one, else Redis."""
    build_workers: int = 0
    """Processes that read and encode documents beside the coordinator; they need Kafka."""
    plugins: Path | None = None
    turn_log: str = ""
    """Where the log of turns is taken, ``file:PATH`` or ``elasticsearch:URL``; empty: nowhere."""
    tls_cert: Path | None = None
    """Certificate of the balancer; None: that of the environment, or no TLS."""
    tls_key: Path | None = None
    http_port: int | None = None
    """Where the balancer leads plain HTTP to https."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Places and addresses that every process is told by its environment."""

    redis_url: str
    """Of somebody else's Redis; empty: the cluster runs its own."""
    artifact_url: str
    coordinator_artifact_url: str
    """Of the coordinator's own store where ``artifact_url`` is its address; empty: the same."""
    artifact_cache: Path
    knowledge: Path
    models: Path
    encoder_model: str
    encoder_backend: str = "onnx"
    kafka_servers: str = ""
    """Of somebody else's Kafka; empty: the cluster runs its own, or its bus is Redis."""
    own_kafka: bool = False
    rabbitmq_url: str = ""
    """Of somebody else's RabbitMQ; empty: it is not the bus."""
    durability: Literal["local", "replica", "fsync"] = "local"
    plugins: Path = Path("plugins")
    grpc_port: int | None = None
    """Where the balancer takes gRPC; None: nowhere."""
    shop: bool = False
    """Whether the sample shop's orders come with its documents: where all is the sample."""
    tls_cert: Path | None = None
    """Certificate of the balancer; None: it does not speak TLS."""
    tls_key: Path | None = None
    """Its key; None: in the same file."""
    hsts_s: int = 0
    http_port: int | None = None
    trusted_proxies: str = ""


def make_plan(wishes: Wishes, settings: Settings) -> Plan:
    """Decide where everything is. Nothing is touched yet."""
    folder = wishes.folder
    own_knowledge = wishes.knowledge or _given(settings, "knowledge_dir")
    own_models = _given(settings, "model_dir")
    kafka_servers = "" if wishes.bus == "redis" else settings.kafka_bootstrap_servers
    return Plan(
        redis_url=settings.redis_url if _is_given(settings, "redis_url") else "",
        artifact_url=settings.artifact_url
        if _is_given(settings, "artifact_url")
        else folder.artifacts.as_uri(),
        coordinator_artifact_url=_coordinators_own(folder, settings),
        artifact_cache=_given(settings, "artifact_cache_dir") or folder.artifact_cache,
        knowledge=(own_knowledge or folder.knowledge).absolute(),
        models=(own_models or places.models_folder()).absolute(),
        encoder_model=settings.encoder_model,
        encoder_backend=settings.encoder_backend,
        durability=settings.durability,
        kafka_servers=kafka_servers,
        rabbitmq_url="" if wishes.bus else settings.rabbitmq_url,
        own_kafka=wishes.bus == "kafka" and not kafka_servers,
        grpc_port=settings.grpc_port,
        plugins=(wishes.plugins or _given(settings, "plugins_dir") or folder.plugins).absolute(),
        tls_cert=wishes.tls_cert or settings.tls_cert_file,
        tls_key=wishes.tls_key if wishes.tls_cert else wishes.tls_key or settings.tls_key_file,
        hsts_s=settings.tls_hsts_s,
        http_port=wishes.http_port or settings.tls_http_port,
        trusted_proxies=settings.trusted_proxies,
        shop=not own_knowledge
        and not (wishes.plugins or _given(settings, "plugins_dir"))
        and sample_shop() is not None,
    )


def _coordinators_own(folder: DataFolder, settings: Settings) -> str:
    """Return where the coordinator keeps what pods read through it; it cannot read itself."""
    return folder.artifacts.as_uri() if settings.artifact_url.startswith("http") else ""


def _is_given(settings: Settings, name: str) -> bool:
    """Tell whether the environment holds it: defaults of ``Settings`` are those of a container."""
    return name in settings.model_fields_set


def _given(settings: Settings, name: str) -> Path | None:
    value: Path = getattr(settings, name)
    return value if _is_given(settings, name) else None
