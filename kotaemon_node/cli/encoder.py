"""``kotaemon encoder``: an encoder of its own, which clusters ask by ``ENCODER_URL``."""

import os
import sys
from typing import Annotated

import typer

from kotaemon_node.local import places, preflight
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.weights import check_weights


def encoder(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8100,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for other machines, or ::.")
    ] = "127.0.0.1",
    model: Annotated[
        str, typer.Option(help="Model, or models joined by +; ENCODER_MODEL by default.")
    ] = "",
) -> None:
    """Serve OpenAI-compatible embeddings at /v1/embeddings, with the encoder of the settings.

    Anybody who reaches the port may ask: keep it inside the cluster's network.
    """
    if not 1 <= port <= 65_535:
        raise LocalError(f"{port} is not a port; choose one from 1 to 65535 with --port.")
    settings = preflight.read_settings()
    if settings.encoder_backend == "http":
        raise LocalError("ENCODER_BACKEND=http asks another encoder; unset it where one is run.")
    given = settings.model_dir if "model_dir" in settings.model_fields_set else None
    models = (given or places.models_folder()).absolute()
    wanted = model or settings.encoder_model
    check_weights(models, wanted, settings.encoder_backend)
    environment = {**os.environ, "ENCODER_MODEL": wanted, "MODEL_DIR": str(models)}
    # A fresh interpreter: there gevent patches the standard library before anybody has used it.
    command = [sys.executable, "-m", "kotaemon_node.server.encoder", host, str(port)]
    os.execve(sys.executable, command, environment)
