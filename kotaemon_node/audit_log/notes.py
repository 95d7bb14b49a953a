"""What the coordinator signs of the audit log, so that its end and its past can be proved.

    kotaemon-audit-note 1 <key id> <signature>\\n
    {"kind":…}

A **volume** note names the entries that were moved to the artifact store, with the checksum of
their file. An **anchor** says what the newest entry was at a time: a log that ends before it was
cut off. A **retired** note says up to which entry volumes were removed because their time was over.
The signature is over the bytes of the JSON behind a prefix that no other use of the key shares.
"""

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Final

from kotaemon_node.domain.audit_names import NoteKind, note_name
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.ports.signing import Signer, Verifier

_PURPOSE: Final = b"kotaemon audit note v1\n"
_HEADER: Final = re.compile(rb"kotaemon-audit-note 1 ([0-9a-f]{16}) ([0-9a-f]{128})")
_HEADER_BYTES_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Note:
    """One signed statement; of an anchor and a retirement ``first`` is ``last``."""

    kind: NoteKind
    tenant: str
    chain: int
    first: int
    last: int
    hash: str
    """Of the entry ``last``."""
    made_at: str
    before: str = ""
    """Hash before the entry ``first``, of a volume."""
    from_at: str = ""
    to_at: str = ""
    """The time of the newest entry."""
    sha256: str = ""
    """Of a volume's file."""

    @property
    def name(self) -> str:
        """Where it lies."""
        mark = self.sha256 or self.hash
        return note_name(
            self.kind, self.tenant, self.chain, first=self.first, last=self.last, mark=mark
        )

    def signed(self, signer: Signer) -> bytes:
        """Return its file."""
        payload = json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()
        signature = signer.sign(_PURPOSE + payload)
        return f"kotaemon-audit-note 1 {signer.key_id} {signature.hex()}\n".encode() + payload


def read_note(raw: bytes, verifier: Verifier, *, name: str) -> Note:
    """Read the note that lies under a name.

    Raises ``CorruptArtifact`` where nobody who is trusted has signed it, for this place.
    """
    line, end, _ = raw[:_HEADER_BYTES_MAX].partition(b"\n")
    header = _HEADER.fullmatch(line)
    if header is None or not end:
        raise CorruptArtifact("it is not signed")
    payload = raw[len(line) + 1 :]
    signature = bytes.fromhex(header[2].decode())
    verifier.check(_PURPOSE + payload, key_id=header[1].decode(), signature=signature)
    try:
        fields: dict[str, Any] = json.loads(payload)
        note = Note(**fields)
    except (ValueError, TypeError) as error:
        raise CorruptArtifact("it was signed, but is no note") from error
    if note.name != name:
        raise CorruptArtifact(f"it was signed for another place, {note.name}")
    return note
