"""The vector store that the settings name, for those who read and for the one who writes."""

from typing import Final

from kotaemon_node.adapters.weaviate.address import VectorSettings, WeaviateAddress
from kotaemon_node.adapters.weaviate.store import WeaviateStore

# Of a pod: a search that would wait longer is quicker in the segment's own files.
_READ_TIMEOUT_S: Final = 1.0
# Of the coordinator, which has other work, too.
_WRITE_TIMEOUT_S: Final = 10.0


def read_store(settings: VectorSettings) -> WeaviateStore | None:
    """Return what a pod asks; None where segments are searched in their own files.

    Raises ``ValueError`` where the settings name nothing that there is.
    """
    return _store(settings, _READ_TIMEOUT_S)


def write_store(settings: VectorSettings) -> WeaviateStore | None:
    """Return what the coordinator fills; as ``read_store``."""
    return _store(settings, _WRITE_TIMEOUT_S)


def _store(settings: VectorSettings, timeout_s: float) -> WeaviateStore | None:
    address = WeaviateAddress.of(settings)
    return None if address is None else WeaviateStore(address, timeout_s=timeout_s)
