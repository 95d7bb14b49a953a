"""``kotaemon turn-log``: takes the log of turns from the bus to a file or to Elasticsearch."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from kotaemon_node.adapters.redis import connect
from kotaemon_node.adapters.store.factory import StorePlace, make_artifact_store
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.cli.cluster import folder_of
from kotaemon_node.composition import turn_logs
from kotaemon_node.composition.sealing import opener_of
from kotaemon_node.local import cluster as clusters
from kotaemon_node.local import preflight, redis_users
from kotaemon_node.local.errors import LocalError
from kotaemon_node.ports.cipher import FieldCipher
from kotaemon_node.settings import Settings
from kotaemon_node.telemetry.logs import configure_logs

_MB = 1024 * 1024


def turn_log(
    *,
    to: Annotated[
        str,
        typer.Option(envvar="KOTAEMON_TURN_LOG", help="file:PATH or elasticsearch:URL."),
    ],
    name: Annotated[str, typer.Option(help="Name under which the place on the bus is kept.")] = "",
    file_mb: Annotated[int, typer.Option(min=1, help="Size at which a file is rotated.")] = 256,
    files: Annotated[int, typer.Option(min=2, max=1000, help="How many files are kept.")] = 20,
    fsync: Annotated[
        Literal["batch", "never"], typer.Option(help="When lines are on the disk for sure.")
    ] = "batch",
    texts: Annotated[
        Literal["sealed", "open"],
        typer.Option(help="How texts are kept that come sealed; open needs ENCRYPTION_KEY_FILE."),
    ] = "sealed",
    index: Annotated[
        str, typer.Option(help="Index of a turn, by its day: %Y, %m, %d.")
    ] = "kotaemon-turns-%Y.%m",
    refused: Annotated[Path, typer.Option(help="File for what Elasticsearch never takes.")] = Path(
        "turn-log-refused.jsonl"
    ),
    health_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of /healthz and /readyz; 0: none.")
    ] = 0,
    health_host: Annotated[
        str, typer.Option(help="Address of that port; 0.0.0.0 for probes from elsewhere.")
    ] = "127.0.0.1",
    data: Annotated[
        Path, typer.Option("--data", help="Data folder of a cluster of this machine.")
    ] = Path(".data"),
) -> None:
    """Keep the log of finished turns, each once; runs until it is stopped, and goes on from there.

    The bus is that of the settings, or that of the cluster in the data folder.
    """
    settings = reaching(preflight.read_settings(), data)
    if settings.turn_log == "off":
        raise LocalError("TURN_LOG=off: no turn is logged; set it to on, for the workers as well.")
    configure_logs(settings.log_level)  # on stdout, as pods: a service prints no results
    wanted = turn_logs.Wanted(
        to,
        name=name,
        file_bytes_max=file_mb * _MB,
        files_max=files,
        fsync=fsync,
        index=index,
        refused=refused,
        health_port=health_port,
        health_host=health_host,
    )
    try:
        cipher = _cipher(settings) if texts == "open" else None
        turn_logs.run(settings, wanted, cipher=cipher)
    except BlockingIOError as error:
        raise LocalError("Another process writes there already; stop it first.") from error
    except (ValueError, OSError) as error:
        raise LocalError(f"The log of turns cannot be kept there: {error}.") from error


def _cipher(settings: Settings) -> FieldCipher:
    clock = SystemClock()
    artifacts = make_artifact_store(StorePlace.of(settings), clock=clock)
    store = connect(settings.redis_url, pool_max=2)
    return opener_of(settings, store=store, artifacts=artifacts, clock=clock)


def reaching(settings: Settings, data: Path) -> Settings:
    """Return the settings with the bus of the data folder's cluster, where they name none."""
    named = {"redis_url", "kafka_bootstrap_servers", "rabbitmq_url"} & settings.model_fields_set
    cluster = None if named else clusters.load(folder_of(data))
    if cluster is None:
        return settings
    redis = redis_users.url_of(cluster, "turn-log")
    kafka = f"127.0.0.1:{cluster.kafka_port}" if cluster.own_kafka else ""
    return settings.model_copy(update={"redis_url": redis, "kafka_bootstrap_servers": kafka})
