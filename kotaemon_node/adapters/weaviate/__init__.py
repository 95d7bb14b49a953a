"""Weaviate as the vector store, over its HTTP interface (docs/adr/0018-another-vector-store.md)."""

from kotaemon_node.adapters.weaviate.address import WeaviateAddress
from kotaemon_node.adapters.weaviate.store import WeaviateStore

__all__ = ["WeaviateAddress", "WeaviateStore"]
