"""The pointers to current generations, one hash a tenant."""

from collections.abc import Mapping
from dataclasses import asdict

import orjson
import structlog

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.domain.knowledge import GenerationRef

_log = structlog.get_logger(__name__)


class RedisGenerationPointer:
    """``ports.knowledge.GenerationPointer``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def current(self, tenant: str) -> Mapping[str, GenerationRef]:
        """See the port."""
        with store_errors():
            rows = self._store.client.hgetall(keys.knowledge_bases(tenant))
        found = {kb.decode(): _reference(kb, row) for kb, row in rows.items()}
        return {kb: ref for kb, ref in found.items() if ref is not None}

    def publish(self, tenant: str, ref: GenerationRef) -> bool:
        """See the port."""
        arguments = [ref.kb, ref.generation, orjson.dumps(asdict(ref))]
        return bool(self._store.run("point", [keys.knowledge_bases(tenant)], arguments))


def _reference(kb: bytes, row: bytes) -> GenerationRef | None:
    """Return what a row says; nonsense is a missing pointer, which the leader makes again."""
    ref: GenerationRef | None = None
    reason = "it names something else"
    try:
        ref = GenerationRef(**orjson.loads(row))
    except (ValueError, TypeError) as error:
        reason = str(error)
    if ref is not None and ref.kb == kb.decode() and isinstance(ref.generation, int):
        return ref
    _log.warning("pointer_unreadable", kb=kb.decode(), reason=reason)
    return None
