"""Composes the process that takes the log of turns from the bus to where it is kept."""

import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from kotaemon_node.adapters.redis import RedisTurnLog, connect
from kotaemon_node.adapters.system.health_port import HealthPort
from kotaemon_node.adapters.turn_sinks import (
    INDEX,
    ElasticsearchPlace,
    ElasticsearchSink,
    Fsync,
    JsonLinesSink,
)
from kotaemon_node.engine.turn_sinking import TurnSinking, wait_s
from kotaemon_node.ports.cipher import FieldCipher
from kotaemon_node.ports.turn_sinks import TurnLogSource, TurnSink
from kotaemon_node.settings import Settings

_log = structlog.get_logger(__name__)

_FILE, _ELASTICSEARCH = "file:", "elasticsearch:"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where the log goes, and how."""

    to: str
    """``file:PATH`` or ``elasticsearch:URL``."""
    name: str = ""
    """Of the place on the bus; "": that of the kind."""
    file_bytes_max: int = 256 * 1024 * 1024
    files_max: int = 20
    fsync: Fsync = "batch"
    index: str = INDEX
    refused: Path = Path("turn-log-refused.jsonl")
    """What Elasticsearch never takes goes there."""
    health_port: int = 0
    """0: no port."""
    health_host: str = "127.0.0.1"


def sink_of(settings: Settings, wanted: Wanted) -> TurnSink:
    """Return what keeps the log. Raises ``ValueError`` and ``OSError``."""
    if wanted.to.startswith(_FILE) and len(wanted.to) > len(_FILE):
        return _lines(Path(wanted.to.removeprefix(_FILE)), wanted)
    url = wanted.to.removeprefix(_ELASTICSEARCH)
    address = urlsplit(url)
    if url == wanted.to or address.scheme not in {"http", "https"} or not address.hostname:
        raise ValueError("it goes to file:PATH or elasticsearch:https://HOST:PORT")
    if address.username or address.password:
        raise ValueError("the address must hold no password; use ELASTICSEARCH_PASSWORD")
    place = ElasticsearchPlace(
        url,
        index=wanted.index,
        api_key=settings.elasticsearch_api_key,
        username=settings.elasticsearch_username,
        password=settings.elasticsearch_password,
        ca_file=settings.elasticsearch_ca_file,
    )
    return ElasticsearchSink(place, refused=_lines(wanted.refused, wanted))


def source_of(settings: Settings, wanted: Wanted) -> TurnLogSource:
    """Return the bus that carries the log."""
    name = wanted.name or wanted.to.partition(":")[0]
    if settings.kafka_bootstrap_servers:
        from kotaemon_node.adapters.kafka import (  # noqa: PLC0415 - loaded where it is used
            KafkaAddress,
            KafkaTurnLog,
        )

        return KafkaTurnLog(KafkaAddress.of(settings), name=name, wait_s=wait_s)
    if settings.rabbitmq_url:
        from kotaemon_node.adapters.rabbitmq import (  # noqa: PLC0415 - the same
            RabbitmqAddress,
            RabbitmqTurnLog,
        )

        return RabbitmqTurnLog(RabbitmqAddress.of(settings), name=name, wait_s=wait_s)
    return RedisTurnLog(connect(settings.redis_url, pool_max=2), name=name, wait_s=wait_s)


def run(settings: Settings, wanted: Wanted, *, cipher: FieldCipher | None = None) -> None:
    """Take the log there until SIGTERM or SIGINT. Raises ``ValueError`` and ``OSError``.

    ``cipher`` opens texts that were sealed on the bus; None: they are kept as they come.
    """
    stop = threading.Event()
    sink = sink_of(settings, wanted)
    sinking = TurnSinking(sink, cipher=cipher)
    if wanted.health_port:
        HealthPort(wanted.health_host, wanted.health_port, told=sinking.told).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _log.info("turn_log_sink_started", to=wanted.to.partition(":")[0])
    try:
        source_of(settings, wanted).run(sinking.take, stop)
    finally:
        sink.close()
    _log.info("turn_log_sink_ended", **sinking.told())


def _lines(path: Path, wanted: Wanted) -> JsonLinesSink:
    return JsonLinesSink(
        path,
        file_bytes_max=wanted.file_bytes_max,
        files_max=wanted.files_max,
        fsync=wanted.fsync,
    )
