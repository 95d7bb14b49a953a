"""The pointers to current generations, one hash a tenant."""

from collections.abc import Mapping
from dataclasses import asdict

import orjson

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore, store_errors
from kotaemon_node.domain.knowledge import GenerationRef


class RedisGenerationPointer:
    """``ports.knowledge.GenerationPointer``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def current(self, tenant: str) -> Mapping[str, GenerationRef]:
        """See the port."""
        with store_errors():
            rows = self._store.client.hgetall(keys.knowledge_bases(tenant))
        return {kb.decode(): GenerationRef(**orjson.loads(row)) for kb, row in rows.items()}

    def publish(self, tenant: str, ref: GenerationRef) -> bool:
        """See the port."""
        arguments = [ref.kb, ref.generation, orjson.dumps(asdict(ref))]
        return bool(self._store.run("point", [keys.knowledge_bases(tenant)], arguments))
