"""Composes the places that a pod uses: the encoder, and room for uploads."""

from collections.abc import Callable

from kotaemon_node.adapters.documents.endings import unsupported
from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.encoder.remembering import RememberingEncoder
from kotaemon_node.adapters.encoder.remote import RemotePlace
from kotaemon_node.adapters.store.factory import StorePlace
from kotaemon_node.adapters.store.uploads import make_upload_room
from kotaemon_node.adapters.system.gevent_tasks import GeventTasks
from kotaemon_node.api.services import UploadDesk
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.settings import Settings
from kotaemon_node.telemetry.metrics import Metrics


def upload_desk_of(settings: Settings, *, clock: Clock) -> UploadDesk:
    """Return what takes files that come over HTTP."""
    # A thread of its own: large files must not hold up what searches, nor what fetches artifacts.
    native = GeventTasks(native_threads=1).compute

    def refusal_of(document: str) -> str | None:
        refusal = unsupported(document)
        return str(refusal) if refusal is not None else None

    return UploadDesk(
        room=make_upload_room(StorePlace.of(settings), clock=clock, native=native),
        refusal_of=refusal_of,
        native=native,
        folder=settings.upload_dir,
    )


def encoder_of(settings: Settings, *, metrics: Metrics) -> Encoder:
    """Return the pod's encoder, which intents and retrieval share."""
    encoder = make_encoder(
        settings.encoder_model,
        settings.encoder_backend,
        settings.model_dir,
        settings.encoder_threads,
        remote=RemotePlace(
            settings.encoder_url, settings.encoder_api_key, count=metrics.encoder_asked
        ),
        told=metrics.encoder_agreement,
    )
    return RememberingEncoder(encoder)


def encoders_of(encoder: Encoder) -> Callable[[str], Encoder]:
    """Return what gives the encoder that a generation names: this pod has this one."""

    def encoder_for(name: str) -> Encoder:
        if name != encoder.name:
            raise Unavailable(f"this pod encodes with {encoder.name}, the generation with {name}")
        return encoder

    return encoder_for
