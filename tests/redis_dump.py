"""Everything that a Redis holds, in memory and on its disk, searched for words."""

import base64
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from tests.redis_server import RedisServer

_TELLS_BYTES = 8


def values_of(client: Any) -> Iterator[tuple[str, bytes]]:
    """Yield (key, value) for each name, field, member and value of each key, and its DUMP."""
    for raw in client.scan_iter(count=1_000):
        key = raw.decode()
        found = [raw, client.dump(raw) or b"", *_READ[client.type(raw).decode()](client, raw)]
        yield from ((key, value) for value in found)


def _parts(row: dict[bytes, bytes]) -> list[bytes]:
    return [part for pair in row.items() for part in pair]


_READ: dict[str, Callable[[Any, bytes], list[bytes]]] = {
    "string": lambda client, key: [client.get(key) or b""],
    "hash": lambda client, key: _parts(client.hgetall(key)),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "set": lambda client, key: list(client.smembers(key)),
    "zset": lambda client, key: client.zrange(key, 0, -1),
    "stream": lambda client, key: [it for _, row in client.xrange(key) for it in _parts(row)],
    "none": lambda client, key: [],  # it went meanwhile
}
"""How each type is read; another one fails the test, which does not know what it holds."""


def keys_with(client: Any, word: str) -> set[str]:
    """Return the keys that say the word, in the clear, packed or as base64."""
    return {key for key, value in values_of(client) if says(value, word)}


def disk_says(server: RedisServer, word: str) -> bool:
    """Tell whether the append-only file says it; what is packed there is in memory as well."""
    files = [path for path in server.folder.rglob("*") if path.is_file()]
    assert any(path.stat().st_size for path in files)
    return any(_clear(path.read_bytes(), word) for path in files)


def says(value: bytes, word: str) -> bool:
    """Tell whether a value says the word; what is packed begins at its first or second byte."""
    forms = [value]
    for start in (0, 1):
        with suppress(zlib.error):
            forms.append(zlib.decompress(value[start:]))
    return any(_clear(form, word) for form in forms)


def _clear(value: bytes, word: str) -> bool:
    raw = word.encode()
    # Of the three ways in which base64 may cut a word, each says its middle; a short one has none.
    parts = [base64.b64encode(raw[start:])[4:-4] for start in range(3)]
    return raw in value or any(len(part) >= _TELLS_BYTES and part in value for part in parts)
