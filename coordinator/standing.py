"""What the coordinator stands on, made as its settings say."""

from coordinator.folder import KnowledgeFolder
from coordinator.metrics import CoordinatorMetrics
from coordinator.priority import made_lower
from coordinator.reading.pool import ChildReader
from coordinator.reading.reader import Readers
from coordinator.settings import CoordinatorSettings
from coordinator.workers.pieces import Pieces
from coordinator.workers.sharing import SharedReader
from kotaemon_node.adapters.encoder.agreement import Told, tell_nobody
from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.encoder.remote import RemotePlace
from kotaemon_node.adapters.signing import Ed25519Signer, read_signing_key
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.events import Bus
from kotaemon_node.ports.runtime import Clock


def encoder_of(settings: CoordinatorSettings, *, told: Told = tell_nobody) -> Encoder:
    """Return the encoder; ``told`` as ``make_encoder``. Raises ``EncoderSetupError``."""

    def make() -> Encoder:
        return make_encoder(
            settings.encoder_model,
            settings.encoder_backend,
            settings.model_dir,
            settings.encoder_threads,
            remote=RemotePlace(settings.encoder_url, settings.encoder_api_key),
            told=told,
        )

    return made_lower(make) if settings.work_priority == "low" else make()


def reader_of(
    settings: CoordinatorSettings,
    folder: KnowledgeFolder,
    pieces: Pieces,
    bus: Bus,
    *,
    metrics: CoordinatorMetrics,
    clock: Clock,
) -> Readers:
    """Return what reads documents: children, and with Kafka the build workers that there are."""
    here = ChildReader(folder.read, metrics=metrics, clock=clock)
    if not settings.kafka_bootstrap_servers:
        return here
    from kotaemon_node.adapters.kafka import (  # noqa: PLC0415 - loaded where it is used
        KafkaAddress,
        KafkaTaskOffers,
    )

    offers = KafkaTaskOffers(KafkaAddress.of(settings), bus)
    shared = SharedReader(here, pieces, offers, bus, load=folder.read, metrics=metrics, clock=clock)
    offers.start()
    shared.start()
    return shared


def signer_of(settings: CoordinatorSettings) -> Ed25519Signer:
    """Return the signer. Raises ``ValueError`` or ``OSError``."""
    if settings.signing_key_file is None:
        raise ValueError(
            "SIGNING_KEY_FILE is empty: pods serve signed generations only;"
            " `kotaemon signing-key create` makes a key"
        )
    return read_signing_key(settings.signing_key_file)
