"""What the artifact store holds of a knowledge base: its generations, the newest first of all."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from kotaemon_node.domain.artifact_names import manifest_name
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import GenerationRef, Manifest
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.signing import Verifier
from kotaemon_node.retrieval.manifest_pieces import ManifestPieces
from kotaemon_node.retrieval.manifests import ManifestReader

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest generation of a knowledge base."""

    number: int
    """The highest number taken, 0 for none; its manifest may be unreadable."""
    manifest: Manifest | None
    """The newest that is signed by a trusted key and can be read."""

    @property
    def broken(self) -> bool:
        """True where the highest number is taken by what no pod can serve."""
        return self.manifest is not None and self.manifest.generation < self.number


class Catalog:
    """Reads manifests from the artifact store."""

    def __init__(self, store: ArtifactStore, verifier: Verifier, *, tenant: str) -> None:
        # Generations of one knowledge base are read one after the other, and are much alike.
        self._manifests = ManifestReader(
            store, verifier, tenant=tenant, parse=ManifestPieces().parse
        )

    def newest(self, kb: str) -> Newest:
        """Return the newest generation of ``kb``."""
        numbers = self.numbers(kb)
        for number in reversed(numbers):
            manifest = self.manifest(kb, number)
            if manifest is not None:
                # Each entry keeps its JSON: made now, the first change need not wait for it.
                manifest.to_json()
                return Newest(numbers[-1], manifest)
        return Newest(numbers[-1] if numbers else 0, None)

    def numbers(self, kb: str) -> Sequence[int]:
        """Return the numbers of the generations kept, lowest first."""
        return self._manifests.numbers(kb)

    def redacted(self, kb: str) -> Sequence[int]:
        """Return the numbers of the generations of which purges left something, lowest first."""
        return self._manifests.redacted_numbers(kb)

    def cited(self, kb: str, number: int) -> Manifest | None:
        """Return what purges left of a generation, None where nothing or nothing to trust."""
        try:
            return self._manifests.redacted(kb, number)
        except CorruptArtifact as error:
            _log.error("manifest_refused", kb=kb, generation=number, reason=str(error))
            return None

    def manifest(self, kb: str, number: int) -> Manifest | None:
        """Return a generation's manifest, None where it is missing or cannot be trusted or read."""
        try:
            return self._manifests.read(kb, number)
        except CorruptArtifact as error:
            # Its number stays taken; the generation before it is the newest that can be served.
            _log.error("manifest_refused", kb=kb, generation=number, reason=str(error))
            return None


def reference(manifest: Manifest) -> GenerationRef:
    """Return the identity and place of a generation."""
    return GenerationRef(
        kb=manifest.kb,
        generation=manifest.generation,
        digest=manifest.digest,
        manifest=manifest_name(manifest.tenant, manifest.kb, manifest.generation),
    )
