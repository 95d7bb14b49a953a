"""Uploads as the leader sees them: into the folder first, then read like any other file.

Each step may be repeated by another leader. The bytes leave the artifact store when the file stands
in the folder: an upload whose bytes are gone was there, and is not put there again over what
somebody changed since.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from coordinator.folder import KnowledgeFolder, Scan
from coordinator.orders import OrderRefused
from coordinator.plan import ROLLED_BACK, revision_in_folder
from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import job_of_upload, upload_name, uploads_prefix
from kotaemon_node.domain.document_names import knowledge_base_of
from kotaemon_node.domain.errors import CorruptArtifact, NotFound
from kotaemon_node.domain.held import HeldBuild
from kotaemon_node.domain.knowledge import DocumentEntry, Manifest
from kotaemon_node.domain.lineage import refused_of
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.jobs import JobSource, Order
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_GONE: Final = "its file was removed before it was read"
_CHANGED: Final = "its file was changed again before it was read"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a knowledge base after a look at its folder."""

    newest: Manifest | None
    held: HeldBuild | None
    scan: Scan


class Uploads:
    """Used by one thread, and only by the leader."""

    def __init__(
        self, *, store: ArtifactStore, folder: KnowledgeFolder, clock: Clock, tenant: str
    ) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._tenant = tenant
        self._entries: tuple[str, Mapping[str, DocumentEntry]] = ("", {})
        """Digest of a manifest, and its documents by name."""
        self._orphans_s: dict[str, float] = {}
        """Name to when it was first seen without a job."""

    def receive(self, order: Order) -> None:
        """Put the file of an upload into the folder, unless it is there.

        Raises ``OrderRefused`` where it cannot be written there, and what the store raises.
        """
        document, revision = _document(order), _revision(order)
        if knowledge_base_of(document) != order.kb:
            raise OrderRefused(f"{document} is not a document of {order.kb}")
        name = upload_name(self._tenant, order.id, revision)
        try:
            if not self._folder.holds(document, revision):
                self._folder.place(document, self._store.open_local(name))
        except CorruptArtifact:
            # No such name: it was put there before, and the folder has the last word now.
            _log.info("upload_taken_before", job=order.id, document=document)
        except OSError as error:
            raise OrderRefused(
                f"{document} cannot be written into the knowledge folder: {error.strerror or error}"
            ) from error
        self._store.delete(name)

    def drop(self, order: Order) -> None:
        """Remove what an upload that has failed left in the store."""
        revision = order.fields.get("revision")
        if isinstance(revision, str):
            self._store.delete(upload_name(self._tenant, order.id, revision))

    def result(self, order: Order, standing: Standing) -> Mapping[str, Any] | None:
        """Return what became of an upload that stands in the folder, None while it is not decided.

        Raises ``OrderRefused`` with the reason why its revision is not served, nor will be.
        """
        document, revision = _document(order), _revision(order)
        newest, scan = standing.newest, standing.scan
        entry = self._entry(newest, document)
        if newest and entry and entry.revision == revision and entry.status != "queued":
            if entry.status == "failed":
                raise OrderRefused(entry.reason or "it cannot be read")
            return {"generation": newest.generation, "passages": entry.passages}
        if document in scan.pending:
            return None
        state = scan.files.get(order.kb, {}).get(document)
        if state is None:
            raise OrderRefused(_ignored(scan, document) or _GONE)
        if state.revision != revision:
            raise OrderRefused(state.problem or _CHANGED)
        if refused_of(newest).get(document) == revision_in_folder(state):
            raise OrderRefused(ROLLED_BACK)
        if standing.held is not None:
            raise OrderRefused(f"the gate holds it: {standing.held.reason}")
        return None

    def sweep(self, jobs: JobSource) -> None:
        """Remove bytes whose job has ended, or of which there has been no job for long."""
        now_s = self._clock.monotonic_s()
        seen: dict[str, float] = {}
        for name in list(self._store.list(uploads_prefix(self._tenant))):
            since_s = self._orphans_s.get(name, now_s)
            try:
                ended = jobs.find(self._tenant, job_of_upload(self._tenant, name)).state in {
                    "done",
                    "failed",
                }
            except NotFound:
                ended = now_s - since_s >= limits.UPLOAD_ORPHANED_S
                seen[name] = since_s
            if ended:
                _log.info("upload_removed", name=name)
                self._store.delete(name)
        self._orphans_s = seen

    def _entry(self, newest: Manifest | None, document: str) -> DocumentEntry | None:
        if newest is None:
            return None
        if self._entries[0] != newest.digest:
            # Hundreds of uploads may wait for one generation of many thousand documents.
            entries = {entry.document: entry for entry in newest.documents}
            self._entries = (newest.digest, entries)
        return self._entries[1].get(document)


def _ignored(scan: Scan, document: str) -> str | None:
    for path, reason in scan.ignored.items():
        if document == path or document.startswith(f"{path}/"):
            return f"{path}: {reason}"
    return None


def _document(order: Order) -> str:
    return _text(order, "document")


def _revision(order: Order) -> str:
    return _text(order, "revision")


def _text(order: Order, name: str) -> str:
    found: Any = order.fields.get(name)
    if not isinstance(found, str) or not found:
        raise OrderRefused(f"the order names no {name}")
    return found
