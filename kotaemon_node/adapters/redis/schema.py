"""The number of what lies in Redis, which an older program looks at before it touches anything.

Law 1: what a version adds, versions before it pass over: that raises no number. It rises for what
       an older program would misread, and for nothing else.
Law 2: a number rises when nobody is left who cannot read it: the version that brings it reads both
       and writes the one that stands here, until whoever runs the cluster raises it.
"""

from typing import Final

from redis.exceptions import NoPermissionError

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.store_errors import store_errors

SCHEMA: Final = 1
"""Written and read by this program."""
_READ: Final = frozenset({SCHEMA})


class SchemaTooNew(ValueError):
    """What lies in the store is of a number that this program does not know."""


def check_schema(store: RedisStore) -> None:
    """Return where this program reads what lies in the store; note its number in an empty one.

    Raises ``SchemaTooNew``, whose text says what to do, and ``StoreUnavailable``.
    """
    with store_errors():
        try:
            store.client.set(keys.SCHEMA, SCHEMA, nx=True)
            said = store.client.get(keys.SCHEMA) or b""
        except NoPermissionError:
            return  # rights of before this number: docs/how-to/upgrade.md asks for those of now
    if said not in {str(one).encode() for one in _READ}:
        raise SchemaTooNew(
            f"Redis holds data of schema {said.decode(errors='replace')[:20]}; this program knows"
            f" {SCHEMA}. Run the version that wrote it or a newer one, name another Redis, or bring"
            " back a backup from before it: docs/how-to/upgrade.md."
        )
