"""Rerankers: a sentence-transformers cross-encoder in this process, or a server that has one."""

from kotaemon_node.adapters.reranker.factory import (
    RerankerPlace,
    RerankerSetupError,
    make_reranker,
)

__all__ = ["RerankerPlace", "RerankerSetupError", "make_reranker"]
