"""What parent and child say to each other: a JSON object and bytes behind it, with their lengths.

    "kmr1" · length of the object (4 bytes) · length of the bytes (8 bytes) · object · bytes

Numbers are big-endian. Nothing of it can make the reader run code, whatever the writer is.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

import orjson

_MAGIC: Final = b"kmr1"
_LENGTHS: Final = struct.Struct(">4sIQ")
PREFIX_BYTES: Final = _LENGTHS.size


def frame(head: dict[str, Any], body: bytes = b"") -> bytes:
    """Return the bytes of one message. ``TypeError`` for what JSON cannot say."""
    said = orjson.dumps(head)
    return b"".join((_LENGTHS.pack(_MAGIC, len(said), len(body)), said, body))


def lengths(prefix: bytes) -> tuple[int, int]:
    """Return the lengths of the two parts. Raises ``ValueError`` for what begins no message."""
    magic, head, body = _LENGTHS.unpack(prefix)
    if magic != _MAGIC:
        raise ValueError("this is no message")
    return head, body


def taken_apart(message: bytes | bytearray) -> tuple[dict[str, Any], bytes]:
    """Return head and body of a whole message. Raises ``ValueError`` where it is none."""
    view = memoryview(message)
    head_bytes, body_bytes = lengths(bytes(view[:PREFIX_BYTES]))
    if len(view) != PREFIX_BYTES + head_bytes + body_bytes:
        raise ValueError("the message has another length than it says")
    head = orjson.loads(view[PREFIX_BYTES : PREFIX_BYTES + head_bytes])
    if not isinstance(head, dict):
        raise ValueError("the message has no object")  # noqa: TRY004 - all is one kind of damage
    return head, bytes(view[PREFIX_BYTES + head_bytes :])


def read_frame(read: Callable[[int], bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Return the next message of a blocking file; None at its end. Raises ``ValueError``."""
    prefix = read(PREFIX_BYTES)
    if not prefix:
        return None
    head_bytes, body_bytes = lengths(prefix)
    return taken_apart(prefix + read(head_bytes + body_bytes))
