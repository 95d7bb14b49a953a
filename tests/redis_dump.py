"""Everything that a Redis holds, in memory and on its disk, searched for words."""

import base64
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from tests.redis_server import RedisServer


def values_of(client: Any) -> Iterator[tuple[str, bytes]]:
    """Yield (key, value) for each name, field, member and value of each key, and its DUMP."""
    for raw in client.scan_iter(count=1_000):
        key = raw.decode()
        yield key, raw
        yield key, client.dump(raw) or b""
        match client.type(raw).decode():
            case "string":
                found = [client.get(raw)]
            case "hash":
                found = [part for pair in client.hgetall(raw).items() for part in pair]
            case "list":
                found = client.lrange(raw, 0, -1)
            case "set":
                found = list(client.smembers(raw))
            case "zset":
                found = client.zrange(raw, 0, -1)
            case "stream":
                rows = [fields for _, fields in client.xrange(raw)]
                found = [part for row in rows for pair in row.items() for part in pair]
            case other:
                raise AssertionError(f"{key} is a {other}, of which nothing is read here")
        yield from ((key, value) for value in found)


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
    # Of the three ways in which base64 may cut a word, each says its middle.
    parts = [base64.b64encode(raw[start:])[4:-4] for start in range(3)]
    return raw in value or any(part in value for part in parts)
