"""How a manifest and its signature lie in one file of the artifact store.

    kotaemon-manifest 1 <key id> <signature>\\n
    {"created_at":…}

One line of ASCII (format version, key id and signature in lower-case hex), then the canonical JSON.
One file, because put-if-absent is atomic for one name only. The signature is over the exact bytes
of the JSON behind a prefix that no other use of the key may share; tenant, knowledge base and
number are in the JSON. A generation's digest is that of the JSON alone: signed again with another
key it is the same generation.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from kotaemon_node.domain.errors import CorruptArtifact

# A signature for anything else under the same key must not pass for that of a manifest.
_PURPOSE: Final = b"kotaemon manifest v1\n"
_HEADER: Final = re.compile(rb"kotaemon-manifest 1 ([0-9a-f]{16}) ([0-9a-f]{128})")
_HEADER_BYTES_MAX: Final = 256

Distrust = Literal["unsigned", "unknown_key", "bad_signature", "misplaced"]


class UntrustedArtifact(CorruptArtifact):
    """A manifest that nobody whom we trust has signed for this place; nothing parses it."""

    def __init__(self, message: str, *, reason: Distrust) -> None:
        super().__init__(message)
        self.reason: Distrust = reason


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """A manifest's bytes with the signature over them, not yet verified."""

    key_id: str
    signature: bytes
    """64 bytes."""
    payload: bytes
    """The canonical JSON of the manifest."""

    def to_bytes(self) -> bytes:
        """Return what the artifact store keeps."""
        header = f"kotaemon-manifest 1 {self.key_id} {self.signature.hex()}\n"
        return header.encode() + self.payload


def split(raw: bytes) -> SignedManifest:
    """Take ``to_bytes``'s bytes apart without reading the JSON; ``UntrustedArtifact`` unsigned."""
    line, end, _ = raw[:_HEADER_BYTES_MAX].partition(b"\n")
    header = _HEADER.fullmatch(line)
    if header is None or not end:
        raise UntrustedArtifact("the manifest is not signed", reason="unsigned")
    signature = bytes.fromhex(header[2].decode())
    return SignedManifest(header[1].decode(), signature, raw[len(line) + 1 :])


def message_of(payload: bytes) -> bytes:
    """Return the bytes that are signed for a manifest."""
    return _PURPOSE + payload
