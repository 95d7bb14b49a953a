"""What the artifact store holds of a knowledge base: its generations, the newest first of all."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from kotaemon_node.domain.artifact_names import knowledge_base_prefix, manifest_name
from kotaemon_node.domain.knowledge import GenerationRef, Manifest
from kotaemon_node.ports.artifacts import ArtifactStore

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest generation of a knowledge base."""

    number: int
    """The highest number taken, 0 for none; its manifest may be unreadable."""
    manifest: Manifest | None
    """The newest that can be read."""


class Catalog:
    """Reads manifests from the artifact store."""

    def __init__(self, store: ArtifactStore, *, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    def newest(self, kb: str) -> Newest:
        """Return the newest generation of ``kb``."""
        numbers = self.numbers(kb)
        for number in reversed(numbers):
            manifest = self.manifest(kb, number)
            if manifest is not None:
                return Newest(numbers[-1], manifest)
        return Newest(numbers[-1] if numbers else 0, None)

    def numbers(self, kb: str) -> Sequence[int]:
        """Return the numbers of the generations kept, lowest first."""
        prefix = f"{knowledge_base_prefix(self._tenant, kb)}manifests/"
        stems = (name.removeprefix(prefix).partition(".")[0] for name in self._store.list(prefix))
        return sorted(int(stem) for stem in stems if stem.isdigit())

    def manifest(self, kb: str, number: int) -> Manifest | None:
        """Return a generation's manifest, None where it is missing or unreadable."""
        name = manifest_name(self._tenant, kb, number)
        raw = self._store.get(name)
        if raw is None:
            return None
        try:
            return Manifest.from_json(raw)
        except (ValueError, KeyError, TypeError):
            # Its number stays taken; the generation before it is the newest that can be served.
            _log.exception("manifest_unreadable", manifest=name)
            return None


def reference(manifest: Manifest) -> GenerationRef:
    """Return the identity and place of a generation."""
    return GenerationRef(
        kb=manifest.kb,
        generation=manifest.generation,
        digest=manifest.digest,
        manifest=manifest_name(manifest.tenant, manifest.kb, manifest.generation),
    )
