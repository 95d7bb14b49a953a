"""Opens citations: the document as it was, long after the index that found the passage is gone."""

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from kotaemon_node.domain import limits
from kotaemon_node.domain.artifact_names import text_name, withdrawal_prefix
from kotaemon_node.domain.errors import CorruptArtifact, NotFound, Withdrawn
from kotaemon_node.domain.knowledge import (
    DocumentEntry,
    Manifest,
    OldRevision,
    Source,
    document_id,
)
from kotaemon_node.domain.signed_manifest import UntrustedArtifact
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.signing import Verifier
from kotaemon_node.retrieval.manifests import ManifestReader

_MANIFESTS_KEPT: Final = 8  # people open citations of recent answers
_REVISION: Final = re.compile(r"[0-9a-f]{64}")
_PASSAGE_ID: Final = re.compile(r"([0-9a-f]{16})-(0|[1-9]\d{0,9})-([1-9]\d{0,9})")


class SourceReader:
    """Reads texts of one tenant's documents from the artifact store. Thread safe."""

    def __init__(
        self,
        store: ArtifactStore,
        verifier: Verifier,
        *,
        tenant: str,
        compute: Callable[..., Any] = lambda work: work(),
    ) -> None:
        """``compute`` runs what takes long (a large manifest, a large text), as ``Tasks`` does."""
        self._store = store
        self._manifests = ManifestReader(store, verifier, tenant=tenant, compute=compute)
        self._tenant = tenant
        self._compute = compute
        # Manifests never change, so what was read once stays right.
        self._documents = lru_cache(maxsize=_MANIFESTS_KEPT)(self._read_documents)

    def source(self, kb: str, generation: int, passage: str) -> Source:
        """Return where the passage id points.

        ``NotFound`` when it never was or is no longer kept, ``Withdrawn`` when its document was
        purged; ``CorruptArtifact`` when the stored text is not the one that was cited.
        """
        match = _PASSAGE_ID.fullmatch(passage)
        if match is None:
            raise NotFound("this generation has no such passage")
        if self._withdrawn(kb, generation, match[1]):
            raise Withdrawn("the document was withdrawn")
        entry = self._documents(kb, generation).get(match[1])
        if entry is None:
            raise NotFound("this generation has no such passage")
        text = self.text(kb, entry)
        span = (int(match[2]), int(match[3]))
        if not span[0] < span[1] <= len(text):
            raise NotFound("the document has no such passage")
        return Source(
            kb=kb,
            generation=generation,
            document=entry.document,
            revision=entry.revision,
            title=entry.title,
            text=text,
            span=span,
        )

    def revision(self, kb: str, document: str, revision: str, *, clock: Clock) -> OldRevision:
        """Return a document as the newest generation of this revision had it.

        Errors as ``source``; it is looked for in the newest generations first, for a bounded time.
        """
        if not _REVISION.fullmatch(revision):
            raise NotFound("a revision is the sha256 of a file, in 64 hexadecimal digits")
        until_s = clock.monotonic_s() + limits.REVISION_LOOKED_FOR_S
        part = document_id(document=document, revision=revision)
        for number in self._manifests.all_numbers(kb):
            if clock.monotonic_s() > until_s:
                raise NotFound(f"the newest generations down to {number} have no such revision")
            if not self._manifests.mentions(kb, number, revision):
                continue
            entry = self._documents(kb, number).get(part)
            if entry is None:
                continue
            if self._withdrawn(kb, number, part):
                raise Withdrawn("the document was withdrawn")
            text = self.text(kb, entry) if entry.text is not None else None
            return OldRevision(number, entry, text)
        if self._withdrawn(kb, 0, part):
            raise Withdrawn("the document was withdrawn")
        raise NotFound("no generation that is kept has this revision of the document")

    def text(self, kb: str, entry: DocumentEntry) -> str:
        """Return a document's canonical text; ``NotFound`` when it has none or it is not kept."""
        if entry.text is None:
            raise NotFound(f"{entry.document} has no text")
        raw = self._store.get(text_name(self._tenant, kb, entry.text))
        if raw is None:
            raise NotFound(f"the text of {entry.document} is no longer kept")
        text: str = self._compute(lambda: _checked_text(raw, entry))
        return text

    def _withdrawn(self, kb: str, generation: int, document_part: str) -> bool:
        prefix = withdrawal_prefix(self._tenant, kb, document_part)
        limits = (name.removeprefix(prefix).partition(".")[0] for name in self._store.list(prefix))
        return any(limit.isdecimal() and generation < int(limit) for limit in limits)

    def _read_documents(self, kb: str, generation: int) -> Mapping[str, DocumentEntry]:
        manifest = None
        if 0 < generation < 10**10:
            try:
                manifest = self._manifests.read(kb, generation)
                manifest = manifest or self._manifests.redacted(kb, generation)
            except UntrustedArtifact as error:
                # It may well lie there since before signatures; nobody vouches for it.
                raise NotFound(f"{kb} has no generation {generation} to trust: {error}") from error
        if manifest is None:
            raise NotFound(f"{kb} has no generation {generation}")
        found: Mapping[str, DocumentEntry] = self._compute(lambda: _by_id(manifest))
        return found


def _checked_text(raw: bytes, entry: DocumentEntry) -> str:
    if hashlib.sha256(raw).hexdigest() != entry.text:
        raise CorruptArtifact(f"the text of {entry.document} is damaged")
    return raw.decode()


def _by_id(manifest: Manifest) -> Mapping[str, DocumentEntry]:
    return {
        document_id(document=entry.document, revision=entry.revision): entry
        for entry in manifest.documents
    }
