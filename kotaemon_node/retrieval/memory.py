"""Whether a generation fits into memory beside the one that is served.

While pods swap, both generations are there. What the new one shares with the old costs nothing
again; the rest is of two kinds: bytes of the process itself, and mapped files, whose pages the
processes of a machine share and the kernel may give up. Both are asked for: a generation whose
files don't fit would be read from disk with each question.
"""

from collections.abc import Sequence
from typing import Final

from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.knowledge import Manifest, SegmentEntry
from kotaemon_node.ports.segments import SegmentFormat

# Measured on 300 to 15,000 documents: 1,270 to 1,420 bytes for a document of a manifest; its bytes
# are kept as well, some 450. A row takes one byte, where its segment has dead ones, and eight
# for a moment while a segment is looked through.
_DOCUMENT_BYTES: Final = 2_000
_ROW_BYTES: Final = 12
# The allocator keeps some of what a load gave back, on each thread; loads of equal generations
# differed by 1.3 MB.
_ALLOCATOR_BYTES: Final = 2 * 1024 * 1024


def own_bytes(manifest: Manifest, new: Sequence[SegmentEntry], form: SegmentFormat) -> int:
    """Return what a generation takes of the process itself, of whose segments ``new`` are new."""
    rows = sum(entry.passages for entry in manifest.segments)
    parts = sum(form.own_bytes(entry) for entry in new)
    return _ALLOCATOR_BYTES + parts + _DOCUMENT_BYTES * len(manifest.documents) + _ROW_BYTES * rows


def require_room(
    manifest: Manifest,
    new: Sequence[SegmentEntry],
    form: SegmentFormat,
    *,
    available: int | None,
) -> None:
    """Raise ``Unavailable`` where a generation would take more than is available (bytes)."""
    own = own_bytes(manifest, new, form)
    mapped = sum(entry.size_bytes for entry in new)
    if available is not None and own + mapped > available:
        raise Unavailable(
            f"it does not fit into memory: {_mb(own + mapped)} MB are needed"
            f" ({_mb(mapped)} of files, {_mb(own)} of its own), {_mb(available)} are available"
        )


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f}"
