"""Makes a generation visible, in the order in which a crash at any moment does no harm.

Texts and segment files first: nobody looks for them yet. Then the manifest under its number, where
the first writer wins: from here the generation exists. Then the pointer, a quick copy that can be
made again, and the event, a hint. Every step may be repeated.
"""

from dataclasses import asdict

import orjson
import structlog

from coordinator.build import Build, iso_time
from coordinator.catalog import reference
from kotaemon_node.domain.artifact_names import manifest_name, segment_file_name, text_name
from kotaemon_node.domain.events import KNOWLEDGE_UPDATED, KnowledgeUpdated
from kotaemon_node.domain.knowledge import GenerationRef, Manifest
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.events import Bus, Message
from kotaemon_node.ports.knowledge import GenerationPointer
from kotaemon_node.ports.runtime import Clock, IdSource

_log = structlog.get_logger(__name__)


class NumberTaken(Exception):
    """Another coordinator published a generation of this number; read it and build on it."""


class Publisher:
    """Publishes generations of one tenant."""

    def __init__(
        self,
        *,
        store: ArtifactStore,
        pointer: GenerationPointer,
        bus: Bus,
        clock: Clock,
        ids: IdSource,
        tenant: str,
    ) -> None:
        self._store = store
        self._pointer = pointer
        self._bus = bus
        self._clock = clock
        self._ids = ids
        self._tenant = tenant

    def store_files(self, build: Build) -> None:
        """Store the texts and the new segment of a build."""
        kb = build.manifest.kb
        for digest, text in build.texts.items():
            self._store.put_if_absent(text_name(self._tenant, kb, digest), text)
        if build.segment is not None:
            for file in build.segment.files:
                name = segment_file_name(self._tenant, kb, build.segment.name, file)
                self._store.put_file_if_absent(name, build.folder / file)

    def store_manifest(self, manifest: Manifest) -> None:
        """Make the generation exist. Raises ``NumberTaken`` when another one has its number."""
        name = manifest_name(self._tenant, manifest.kb, manifest.generation)
        raw = manifest.to_json()
        if not self._store.put_if_absent(name, raw) and self._store.get(name) != raw:
            raise NumberTaken(name)

    def announce(self, manifest: Manifest) -> None:
        """Point to a stored generation and tell the pods. Raises ``Unavailable``."""
        ref = reference(manifest)
        if not self._pointer.publish(self._tenant, ref):
            _log.warning("pointer_is_ahead", kb=ref.kb, generation=ref.generation)
        event = self._event(ref, parent=manifest.parent)
        self._bus.publish(
            Message(topic=KNOWLEDGE_UPDATED, key=ref.kb, value=orjson.dumps(asdict(event)))
        )

    def _event(self, ref: GenerationRef, *, parent: str | None) -> KnowledgeUpdated:
        return KnowledgeUpdated(
            event_id=self._ids.new_id(),
            tenant=self._tenant,
            kb=ref.kb,
            generation=ref.generation,
            parent=parent,
            manifest=ref.manifest,
            sha256=ref.digest,
            at=iso_time(self._clock.now_s()),
            trace_id=self._ids.new_id(),
        )
