"""From the settings to a reranker, or to none."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kotaemon_node.adapters.reranker.errors import RerankerSetupError
from kotaemon_node.adapters.reranker.server import RerankServer
from kotaemon_node.ports.reranker import Reranker

__all__ = ["RerankerPlace", "RerankerSetupError", "make_reranker"]


@dataclass(frozen=True, slots=True)
class RerankerPlace:
    """What the settings say of a reranker."""

    model: str
    """A cross-encoder's name or folder, or the address of a server that has one; empty: none."""
    key: str
    """By which that server lets us in."""
    model_dir: Path
    """Where models lie by their names."""
    threads: int


def make_reranker(place: RerankerPlace, *, compute: Callable[..., Any]) -> Reranker | None:
    """Return the reranker of ``place``; None where there is to be none.

    ``compute`` (``ports.runtime.Tasks.compute``) runs a model of this process on threads of its
    own: half a second of it must not hold up what searches. Raises ``RerankerSetupError``.
    """
    if not place.model:
        return None
    if place.model.startswith(("http://", "https://")):
        return RerankServer(place.model, key=place.key)
    # Imports torch, which most pods do without.
    from kotaemon_node.adapters.reranker.cross_encoder import load_cross_encoder  # noqa: PLC0415

    return load_cross_encoder(
        place.model, model_dir=place.model_dir, threads=place.threads, compute=compute
    )
