"""Makes a generation visible, in the order in which a crash at any moment does no harm.

Texts and segment files first: nobody looks for them yet. Then the signed manifest under its number,
where the first writer wins: from here the generation exists. Then the pointer, a quick copy that
can be made again, and the event, a hint. Every step may be repeated.

What is named by content must have that content: a file of the store that has not, because a disk
or a person changed it, is replaced by the good one that we have at hand.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import orjson
import structlog

from coordinator.audit import Audit
from coordinator.build import Build, iso_time
from coordinator.catalog import reference
from kotaemon_node.domain.artifact_names import manifest_name, segment_file_name, text_name
from kotaemon_node.domain.audit import AuditEvent, Detail
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import KNOWLEDGE_UPDATED, KnowledgeUpdated, knowledge_key
from kotaemon_node.domain.knowledge import GenerationRef, Manifest, SegmentEntry
from kotaemon_node.domain.lineage import job_of, rolled_back_to
from kotaemon_node.domain.trace_context import TraceContext, new_trace_id
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.audit import AuditLog, NoAuditLog
from kotaemon_node.ports.events import Bus, Message
from kotaemon_node.ports.knowledge import GenerationPointer
from kotaemon_node.ports.runtime import Clock, IdSource
from kotaemon_node.ports.signing import Signer
from kotaemon_node.ports.traces import current, spanned
from kotaemon_node.retrieval.manifests import signed

_log = structlog.get_logger(__name__)


class NumberTaken(Exception):
    """Another coordinator published a generation of this number; read it and build on it."""


class Publisher:
    """Publishes generations of one tenant."""

    def __init__(
        self,
        *,
        store: ArtifactStore,
        signer: Signer,
        audit: Audit,
        pointer: GenerationPointer,
        bus: Bus,
        clock: Clock,
        ids: IdSource,
        tenant: str,
        acts: AuditLog | None = None,
    ) -> None:
        """``acts``: the log of what was done, which is told of each generation."""
        self._acts = acts or NoAuditLog()
        self._store = store
        self._signer = signer
        self._audit = audit
        self._pointer = pointer
        self._bus = bus
        self._clock = clock
        self._ids = ids
        self._tenant = tenant

    @spanned("store")
    def store_files(self, build: Build) -> None:
        """Store the texts and the new segment of a build."""
        kb = build.manifest.kb
        for digest, text in build.texts.items():
            self._put_text(text_name(self._tenant, kb, digest), text)
        if build.segment is not None:
            self.store_segment(kb, build.segment, build.folder, alive=lambda: None)

    def store_segment(
        self, kb: str, entry: SegmentEntry, folder: Path, *, alive: Callable[[], None]
    ) -> None:
        """Store a segment's files, which lie in ``folder``, and see that they arrived whole.

        May be called beside the thread that publishes; ``alive`` may raise between two files.
        """
        for file, checksum in entry.files.items():
            alive()
            name = segment_file_name(self._tenant, kb, entry.name, file)
            self._put_file(name, folder / file, sha256=checksum)
        # Read here, so that storing the manifest need not.
        self._audit.require_segment(kb, entry)

    def _put_text(self, name: str, text: bytes) -> None:
        if not self._store.put_if_absent(name, text) and self._store.get(name) != text:
            _log.error("artifact_replaced", name=name)
            self._store.delete(name)
            self._store.put_if_absent(name, text)

    def _put_file(self, name: str, source: Path, *, sha256: str) -> None:
        if self._store.put_file_if_absent(name, source):
            return
        with self._store.open_local(name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            _log.error("artifact_replaced", name=name)
            self._store.delete(name)
            self._store.put_file_if_absent(name, source)

    def store_manifest(self, manifest: Manifest) -> None:
        """Make the generation exist. Raises ``NumberTaken`` when another one has its number.

        ``CorruptArtifact`` where a segment, perhaps of an older generation, is not whole.
        """
        self._audit.require_segments(manifest)
        name = manifest_name(self._tenant, manifest.kb, manifest.generation)
        raw = signed(manifest, self._signer)
        if self._store.put_if_absent(name, raw):
            self._acts.record(_act_of(self._tenant, manifest))
        elif self._store.get(name) != raw:
            raise NumberTaken(name)

    @spanned("publish")
    def announce(self, manifest: Manifest) -> bool:
        """Point to a stored generation and tell the pods; return whether the bus took the event.

        Without it the pods find the generation later, by themselves. Raises ``Unavailable`` where
        the pointer cannot be set.
        """
        ref = reference(manifest)
        if not self._pointer.publish(self._tenant, ref):
            _log.warning("pointer_is_ahead", kb=ref.kb, generation=ref.generation)
        event = self._event(ref, parent=manifest.parent)
        value = orjson.dumps(asdict(event))
        try:
            self._bus.publish(
                Message(KNOWLEDGE_UPDATED, knowledge_key(self._tenant, ref.kb), value)
            )
        except Unavailable as error:
            _log.warning("event_not_sent", kb=ref.kb, generation=ref.generation, error=str(error))
            return False
        return True

    def _event(self, ref: GenerationRef, *, parent: str | None) -> KnowledgeUpdated:
        traced = TraceContext.read(current().traceparent)
        return KnowledgeUpdated(
            event_id=self._ids.new_id(),
            tenant=self._tenant,
            kb=ref.kb,
            generation=ref.generation,
            parent=parent,
            manifest=ref.manifest,
            sha256=ref.digest,
            at=iso_time(self._clock.now_s()),
            trace_id=traced.trace_id if traced is not None else new_trace_id(),
        )


def _act_of(tenant: str, manifest: Manifest) -> AuditEvent:
    """Return what the audit log keeps of a generation; its digest names all that it holds."""
    detail: dict[str, Detail] = {
        "generation": manifest.generation,
        "sha256": manifest.digest,
        "documents": len(manifest.documents),
    }
    if job := job_of(manifest):
        detail["job"] = job
    if before := rolled_back_to(manifest):
        detail["rolled_back_to"] = before
    return AuditEvent(
        "generation.published", "done", tenant, role="system", target=manifest.kb, detail=detail
    )
