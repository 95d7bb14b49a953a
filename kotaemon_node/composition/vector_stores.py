"""Composes the vector store that ``VECTOR_STORE`` names: who asks it, and who fills it."""

from collections.abc import Callable, Mapping
from typing import Final

from kotaemon_node.adapters.weaviate import WeaviateAddress, WeaviateStore
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.vectors import VectorStore
from kotaemon_node.retrieval.neighbours import Neighbours
from kotaemon_node.settings import Settings
from kotaemon_node.telemetry.metrics import Metrics

LOCAL: Final = "faiss"
"""The value by which segments are searched in their own files."""
# Of a pod: a search that would wait longer is quicker in the segment's own files.
_READ_TIMEOUT_S: Final = 1.0
# Of the coordinator, which has other work, too.
_WRITE_TIMEOUT_S: Final = 10.0


def neighbours_of(settings: Settings, *, clock: Clock, metrics: Metrics) -> Neighbours | None:
    """Return who asks the vector store; None where segments are searched in their files."""
    store = _store(settings, _READ_TIMEOUT_S)
    return None if store is None else Neighbours(store, clock=clock, count=metrics.neighbours)


def write_store(settings: Settings) -> VectorStore | None:
    """Return what the coordinator fills; None as ``neighbours_of``."""
    return _store(settings, _WRITE_TIMEOUT_S)


def _store(settings: Settings, timeout_s: float) -> VectorStore | None:
    """Raises ``ValueError`` where the setting names nothing that there is."""
    if settings.vector_store == LOCAL:
        return None
    make = _KINDS.get(settings.vector_store.strip().partition("+")[0].lower())
    if make is None:
        # The message names no address: people put passwords into addresses.
        raise ValueError(
            "VECTOR_STORE is neither faiss nor the address of a store of a kind that there is:"
            " weaviate+http(s)://host:port/area"
        )
    return make(settings, timeout_s)


def _weaviate(settings: Settings, timeout_s: float) -> VectorStore:
    return WeaviateStore(WeaviateAddress.of(settings), timeout_s=timeout_s)


_KINDS: Final[Mapping[str, Callable[[Settings, float], VectorStore]]] = {"weaviate": _weaviate}
"""What stands before the ``+`` of the address, to what makes a store there."""
