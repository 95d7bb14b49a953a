"""The WSGI application of a pod: the routes, put around the services that they are given."""

from typing import Final

from flask import Blueprint, Flask

from kotaemon_node.api import (
    analytics,
    audit,
    channels,
    chat,
    cluster,
    dead_letters,
    faq,
    faq_drafts,
    feedback,
    handoffs,
    health,
    jobs,
    knowledge,
    limits,
    login,
    openapi,
    operations,
    page,
    permissions,
    plugins,
    sessions,
    sources,
    traces,
    turns,
    uploads,
)
from kotaemon_node.api.audited_routes import tell_done
from kotaemon_node.api.context import EXTENSION, Shared
from kotaemon_node.api.observed import observe
from kotaemon_node.api.openai import routes as openai
from kotaemon_node.api.services import Services
from kotaemon_node.api.streams import StreamSlots
from kotaemon_node.api.upload_slots import UploadSlots
from kotaemon_node.api.voice import audio
from kotaemon_node.api.voice import routes as voice
from kotaemon_node.api.websocket import chat as websocket
from kotaemon_node.api.websocket.open_sockets import OpenSockets
from kotaemon_node.domain.limits import (
    BODY_BYTES_MAX,
    STREAMS_PER_POD_MAX,
    UPLOADS_PER_POD_MAX,
)

_BLUEPRINTS: Final[tuple[Blueprint, ...]] = (
    chat.routes,
    openai.routes,
    channels.routes,
    sessions.routes,
    turns.routes,
    feedback.routes,
    handoffs.routes,
    traces.routes,
    analytics.routes,
    knowledge.routes,
    sources.routes,
    uploads.routes,
    faq.routes,
    faq_drafts.routes,
    jobs.routes,
    dead_letters.routes,
    audit.routes,
    cluster.routes,
    plugins.routes,
    health.routes,
    openapi.routes,
    page.routes,
    login.routes,
    limits.routes,
    websocket.routes,
    audio.routes,
    voice.routes,
)


def create_app(services: Services, *, streams_max: int = STREAMS_PER_POD_MAX) -> Flask:
    """Return the application. Refuses to start with a route that lacks a permission or a row."""
    app = Flask("kotaemon_node", static_folder=None, template_folder=None)
    # The stream of a body stops there, whether its length was announced or not.
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    # One address per thing: no redirects between spellings of a path.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.converters["entry"] = faq.EntryId
    slots = StreamSlots(streams_max, metrics=services.metrics)
    app.extensions[EXTENSION] = Shared(
        services,
        slots,
        UploadSlots(UPLOADS_PER_POD_MAX),
        OpenSockets(leaving=lambda: services.pod.draining),
    )
    observe(app)
    tell_done(app)
    for blueprint in _BLUEPRINTS:
        app.register_blueprint(blueprint)
    _require_rows(app)
    return app


def _require_rows(app: Flask) -> None:
    endpoints = [rule.endpoint for rule in app.url_map.iter_rules()]
    missing = permissions.unlisted(endpoints) + operations.undescribed(endpoints)
    if missing:
        raise RuntimeError(f"routes without a row in permissions or operations: {missing}")
    if loose := permissions.unscoped():
        raise RuntimeError(f"routes whose row in permissions names no scope: {loose}")
