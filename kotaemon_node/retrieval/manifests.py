"""Reads and writes the manifests of the artifact store: verified first, parsed afterwards."""

import hashlib
from collections.abc import Callable

from kotaemon_node.domain.artifact_names import (
    knowledge_base_prefix,
    manifest_name,
    redacted_prefix,
)
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import GenerationRef, Manifest
from kotaemon_node.domain.lineage import is_redacted
from kotaemon_node.domain.signed_manifest import (
    SignedManifest,
    UntrustedArtifact,
    message_of,
    split,
)
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.signing import Signer, Verifier


def signed(manifest: Manifest, signer: Signer) -> bytes:
    """Return the bytes under which the artifact store keeps ``manifest``."""
    payload = manifest.to_json()
    signature = signer.sign(message_of(payload))
    return SignedManifest(signer.key_id, signature, payload).to_bytes()


class ManifestReader:
    """Reads the manifests of one tenant. Thread safe."""

    def __init__(
        self,
        store: ArtifactStore,
        verifier: Verifier,
        *,
        tenant: str,
        compute: Callable[[Callable[[], Manifest]], Manifest] = lambda work: work(),
        parse: Callable[[str, bytes], Manifest] = lambda kb, payload: Manifest.from_json(payload),
    ) -> None:
        """``compute`` runs what takes long where it holds nobody up; the store is read here.

        ``parse`` is ``Manifest.from_json``, or knows a quicker way for a knowledge base.
        """
        self._compute = compute
        self._parse = parse
        self._store = store
        self._verifier = verifier
        self._tenant = tenant

    def numbers(self, kb: str) -> list[int]:
        """Return the numbers that are taken, lowest first; what lies there may be worthless."""
        prefix = f"{knowledge_base_prefix(self._tenant, kb)}manifests/"
        stems = (name.removeprefix(prefix).partition(".")[0] for name in self._store.list(prefix))
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def read(self, kb: str, generation: int, *, digest: str | None = None) -> Manifest | None:
        """Return the manifest of a generation, None where there is none.

        Raises ``UntrustedArtifact`` for one that no trusted key has signed or that belongs
        elsewhere, and ``CorruptArtifact`` where it has another ``digest`` or cannot be read.
        """
        raw = self._store.get(manifest_name(self._tenant, kb, generation))
        if raw is None:
            return None
        return self._compute(lambda: self._placed(raw, kb, generation, digest))

    def redacted(self, kb: str, generation: int) -> Manifest | None:
        """Return what purges left of a generation's manifest, for citations; None for nothing.

        It has no segments. Raises as ``read``.
        """
        names = sorted(self._store.list(redacted_prefix(self._tenant, kb, generation)))
        raw = self._store.get(names[-1]) if names else None
        if raw is None:
            return None
        return self._compute(lambda: self._verified(raw, kb, generation, None))

    def redacted_numbers(self, kb: str) -> list[int]:
        """Return the numbers of the generations of which purges left something, lowest first."""
        prefix = f"{knowledge_base_prefix(self._tenant, kb)}redacted/"
        stems = (name.removeprefix(prefix).partition(".")[0] for name in self._store.list(prefix))
        return sorted({int(stem) for stem in stems if stem.isdecimal()})

    def all_numbers(self, kb: str) -> list[int]:
        """Return the numbers whose manifest, or what purges left of it, is kept: newest first."""
        return sorted({*self.numbers(kb), *self.redacted_numbers(kb)}, reverse=True)

    def mentions(self, kb: str, generation: int, word: str) -> bool:
        """Tell whether ``word`` (ASCII) stands in what is kept of a generation.

        Much cheaper than reading it; nothing is verified, so a yes says only where to read.
        """
        raw = self._store.get(manifest_name(self._tenant, kb, generation))
        if raw is None:
            names = sorted(self._store.list(redacted_prefix(self._tenant, kb, generation)))
            raw = self._store.get(names[-1]) if names else None
        return raw is not None and word.encode() in raw

    def _placed(self, raw: bytes, kb: str, generation: int, digest: str | None) -> Manifest:
        manifest = self._verified(raw, kb, generation, digest)
        if is_redacted(manifest):
            raise UntrustedArtifact("what a purge left is no generation", reason="misplaced")
        return manifest

    def _verified(self, raw: bytes, kb: str, generation: int, digest: str | None) -> Manifest:
        found = split(raw)
        # Before everything else: bytes that nobody vouches for reach no parser.
        self._verifier.check(
            message_of(found.payload), key_id=found.key_id, signature=found.signature
        )
        manifest = self._parsed(kb, found.payload)
        if digest is not None and manifest.digest != digest:
            raise CorruptArtifact(f"the manifest is not the one of digest {digest}")
        if (manifest.tenant, manifest.kb, manifest.generation) != (self._tenant, kb, generation):
            # Signed once and honestly, but an older one or another's: copied to this place.
            here = manifest_name(self._tenant, kb, generation)
            ours = manifest_name(manifest.tenant, manifest.kb, manifest.generation)
            raise UntrustedArtifact(f"at {here} lies the manifest {ours}", reason="misplaced")
        return manifest

    def _parsed(self, kb: str, payload: bytes) -> Manifest:
        try:
            return self._parse(kb, payload)
        except (ValueError, LookupError, TypeError) as error:
            raise CorruptArtifact(f"the manifest cannot be read: {error!r}") from error

    def found(self, kb: str, generation: int) -> GenerationRef | None:
        """Return the identity of what lies at this number, not verified; None for nothing.

        The digest of what is not signed is empty: there is no generation of this identity.
        """
        name = manifest_name(self._tenant, kb, generation)
        raw = self._store.get(name)
        if raw is None:
            return None
        try:
            digest = _digest(split(raw).payload)
        except UntrustedArtifact:
            digest = ""
        return GenerationRef(kb=kb, generation=generation, digest=digest, manifest=name)


def _digest(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()
