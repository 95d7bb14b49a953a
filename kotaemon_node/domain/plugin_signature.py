"""The signature of a bundle as a file of its own: one line of ASCII.

    kotaemon-plugin 1 <key id> <signature>

Format version, then key id and signature in lower-case hex.
"""

import re
from typing import Final

from kotaemon_node.domain.errors import Invalid

_LINE: Final = re.compile(rb"kotaemon-plugin 1 ([0-9a-f]{16}) ([0-9a-f]{128})\s*")


def signature_line(key_id: str, signature: bytes) -> bytes:
    """Return the content of the file."""
    return f"kotaemon-plugin 1 {key_id} {signature.hex()}\n".encode()


def signature_of(line: bytes) -> tuple[str, str]:
    """Return key id and signature, both in hex; ``Invalid`` for what is no such file."""
    found = _LINE.fullmatch(line)
    if found is None:
        raise Invalid("the signature is not `kotaemon-plugin 1 <key id> <signature>` in hex")
    return found[1].decode(), found[2].decode()
