"""How entries lie in the artifact store: lines as they were stored, gzipped, in one file."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Sequence

from kotaemon_node.audit_log.notes import Note
from kotaemon_node.domain import audit_limits as limits
from kotaemon_node.domain.audit_chain import GENESIS, Entry, read_line
from kotaemon_node.domain.audit_names import volume_name
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.ports.audit import StoredLine


def packed(lines: Sequence[bytes]) -> bytes:
    """Return the file of these lines; equal lines make equal files."""
    # A line break inside one would make two of it. None of us writes one.
    content = b"".join(line.replace(b"\n", b" ") + b"\n" for line in lines)
    return gzip.compress(content, 6, mtime=0)


def unpacked(content: bytes) -> list[bytes]:
    """Return the lines of a file. ``CorruptArtifact`` for what is none."""
    try:
        with gzip.open(io.BytesIO(content)) as file:
            text = file.read(limits.AUDIT_VOLUME_BYTES_MAX + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise CorruptArtifact("it cannot be unpacked") from error
    if len(text) > limits.AUDIT_VOLUME_BYTES_MAX:
        raise CorruptArtifact("it is larger than a volume can be")
    return text.splitlines()


def noted(tenant: str, rows: Sequence[StoredLine], *, made_at: str) -> tuple[str, bytes, Note]:
    """Return name, content and note of a volume of these rows, which are of one chain."""
    content = packed([row.line for row in rows])
    sha256 = hashlib.sha256(content).hexdigest()
    first, last = _entry(rows[0]), _entry(rows[-1])
    note = Note(
        "volume",
        tenant,
        rows[0].chain,
        rows[0].seq,
        rows[-1].seq,
        hash=last.hash if last else "",
        made_at=made_at,
        before=first.before if first else GENESIS,
        from_at=first.at if first else "",
        to_at=last.at if last else made_at,
        sha256=sha256,
    )
    return volume_name(tenant, note.chain, note.first, note.last, sha256), content, note


def _entry(row: StoredLine) -> Entry | None:
    """Return what a row holds; None for what somebody put there: it is moved all the same."""
    try:
        return read_line(row.line)
    except ValueError:
        return None
