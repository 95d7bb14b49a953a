"""Everything that Redis holds of the product, value by value; for who looks through all of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from redis.exceptions import NoPermissionError

from kotaemon_node.adapters.redis import audit_keys, keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.adapters.redis.tenants_met import servers_of
from kotaemon_node.domain.errors import Forbidden

_NAMES: Final = 200
_PAGE: Final = 200  # entries of a list or a stream in one reply
# Whole words: a tenant may be called `podium`. No tenant may be called as one of these.
_NO_VALUES: Final = (
    *(b"kn:{sealing}:", b"kn:{sealing:", b"kn:{audit:", b"kn:{use:", b"kn:{logins:"),
    *(b"kn:pod:", b"kn:leader:", b"kn:breaker:"),
)
_ONLY_NAMES: Final = (keys.PODS.encode(), audit_keys.TENANTS.encode())


def contents(store: RedisStore) -> Iterator[tuple[str, bytes]]:
    """Yield the name of a key and one of its values, of all servers; members of sets are names.

    What changes meanwhile may be missed or come twice. Raises ``StoreUnavailable``, and
    ``Forbidden`` where this user of Redis may not read all of it: what was passed over might be
    what is looked for.
    """
    with store_errors(), _all_readable():
        for server in servers_of(store):
            names: list[bytes] = []
            for name in server.scan_iter(match=b"kn:*", count=_NAMES):
                if may_hold_values(name):
                    names.append(name)
                if len(names) == _NAMES:
                    yield from _values(server, names)
                    names = []
            yield from _values(server, names)


def may_hold_values(name: bytes) -> bool:
    """Tell whether a key is one that is looked into; of the others nothing was ever sealed."""
    return not name.startswith(_NO_VALUES) and name not in _ONLY_NAMES


@contextmanager
def _all_readable() -> Iterator[None]:
    try:
        yield
    except NoPermissionError as error:
        raise Forbidden(
            f"this user of Redis may not read everything ({error}): name one that may in REDIS_URL,"
            " as `backup`, with its rights of this release (docs/how-to/least-rights.md)"
        ) from error


def _values(server: Any, names: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    pipe = server.pipeline(transaction=False)
    for name in names:
        pipe.type(name)
    for name, kind in zip(names, pipe.execute(), strict=True):
        shown = name.decode("utf-8", "replace")
        for value in _of_kind(server, name, kind):
            yield shown, value


def _of_kind(server: Any, name: bytes, kind: bytes) -> Iterator[bytes]:
    match kind:
        case b"string":
            value = server.get(name)
            yield from [value] if value is not None else []
        case b"hash":
            yield from server.hvals(name)
        case b"list":
            at = 0
            while rows := server.lrange(name, at, at + _PAGE - 1):
                yield from rows
                at += len(rows)
        case b"stream":
            last = b"-"
            while entries := server.xrange(name, min=last, count=_PAGE):
                for _, fields in entries:
                    yield from fields.values()
                last = b"(" + entries[-1][0]
        case _:
            return
