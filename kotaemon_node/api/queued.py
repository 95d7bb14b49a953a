"""Documents that were uploaded and wait to be read, shown before any generation has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.knowledge import DocumentEntry, Manifest
from kotaemon_node.ports.jobs import UPLOAD, Job, JobQueue

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """A document as it is listed. ``queued``: a revision of it that waits, other than its own."""

    entry: DocumentEntry
    queued: str | None = None


def uploads_waiting(jobs: JobQueue, tenant: str, kb: str) -> Mapping[str, DocumentEntry]:
    """Return document to the newest upload of it that waits. Nothing where the queue is away."""
    try:
        waiting = jobs.waiting(tenant)
    except StoreUnavailable as error:
        # What is served can be listed all the same.
        _log.warning("uploads_not_listed", reason=str(error))
        return {}
    uploads = (job for job in waiting if job.order.kind == UPLOAD and job.order.kb == kb)
    return {entry.document: entry for entry in map(_queued_entry, uploads)}


def with_queued(manifest: Manifest | None, uploads: Mapping[str, DocumentEntry]) -> Sequence[Shown]:
    """Return the documents of a generation and what waits beside them, by name."""
    if manifest is None:
        return [Shown(uploads[name]) for name in sorted(uploads)]
    if not uploads:
        return [Shown(entry) for entry in manifest.documents]
    shown = {entry.document: Shown(entry) for entry in manifest.documents}
    for name, upload in uploads.items():
        known = shown.get(name)
        if known is None or known.entry.status == "queued":
            shown[name] = Shown(upload)
        elif known.entry.revision != upload.revision:
            shown[name] = Shown(known.entry, queued=upload.revision)
    return [shown[name] for name in sorted(shown)]


def _queued_entry(job: Job) -> DocumentEntry:
    document = str(job.order.fields["document"])
    return DocumentEntry(
        document=document,
        revision=str(job.order.fields["revision"]),
        title=document.rpartition("/")[2],
        status="queued",
        reason=None,
        file_bytes=int(job.order.fields["bytes"]),
        text_chars=0,
        passages=0,
        text=None,
        segment=None,
        indexed_at=datetime.fromtimestamp(job.created_at, UTC).isoformat(timespec="milliseconds"),
    )
