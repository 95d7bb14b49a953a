"""Everything that Redis holds of the product, value by value; for who looks through all of it."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from kotaemon_node.adapters.redis.connection import RedisStore, store_errors
from kotaemon_node.adapters.redis.tenants_met import servers_of

_NAMES: Final = 200
_PAGE: Final = 200  # entries of a list or a stream in one reply
_NO_VALUES: Final = (b"kn:{sealing", b"kn:{audit:", b"kn:pod", b"kn:{use:")


def contents(store: RedisStore) -> Iterator[tuple[str, bytes]]:
    """Yield the name of a key and one of its values, of all servers; members of sets are names.

    What changes meanwhile may be missed or come twice. Raises ``StoreUnavailable``.
    """
    with store_errors():
        for server in servers_of(store):
            names: list[bytes] = []
            for name in server.scan_iter(match=b"kn:*", count=_NAMES):
                if not name.startswith(_NO_VALUES):
                    names.append(name)
                if len(names) == _NAMES:
                    yield from _values(server, names)
                    names = []
            yield from _values(server, names)


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
