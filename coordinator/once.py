"""``python -m coordinator.once``: a folder of documents to one generation, with nobody to serve it.

The parts are those by which a cluster gets its knowledge (reading, chunking, encoding, segments, a
signed manifest); what is left out is all that is for a cluster: the lead, the bus, the gate. For
measures, which need a knowledge base for an hour. Writes one JSON object a line: how far it is, and
at last what it made.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from coordinator.build import Builder, Change
from coordinator.catalog import Catalog
from coordinator.ingest import Ingested, ingest
from coordinator.walking import FolderWalk
from kotaemon_node.adapters.encoder.errors import EncoderSetupError
from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.encoder.remote import RemotePlace
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.signing import Ed25519Signer, TrustedKeys, read_signing_key
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.artifact_names import manifest_name, segment_file_name, text_name
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE, DEFAULT_TENANT
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.retrieval.manifests import signed
from kotaemon_node.settings import environment_value
from kotaemon_node.telemetry.logs import configure_logs

_NUMBER: Final = 1

Told = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much."""


def build_once(
    folder: Path, artifacts: Path, *, encoder: Encoder, signer: Ed25519Signer, tell: Told
) -> Manifest:
    """Make generation 1 of ``folder`` below ``artifacts``; what is there and still fits is kept.

    All documents are of the knowledge base ``default``, whatever folder they are in. The artifacts
    must be of the same documents as before, or none.
    """
    store = FileArtifactStore(artifacts)
    builder = Builder(
        encoder=encoder,
        segment_format=FaissSegmentFormat(),
        store=store,
        clock=SystemClock(),
        tenant=DEFAULT_TENANT,
    )
    catalog = Catalog(store, TrustedKeys([signer.public_key]), tenant=DEFAULT_TENANT)
    known = catalog.newest(DEFAULT_KNOWLEDGE_BASE).manifest
    if known is not None and builder.can_extend(known):
        return known
    documents = _read(folder, tell)
    number = _NUMBER if known is None else known.generation + 1
    with tempfile.TemporaryDirectory(prefix="kotaemon-once-") as room:
        build = builder.build(
            DEFAULT_KNOWLEDGE_BASE,
            number,
            None,
            Change(documents),
            rebuild=True,
            folder=Path(room),
            proceed=lambda done, of: tell("encoding", done, of),
        )
        for digest, text in build.texts.items():
            store.put_if_absent(text_name(DEFAULT_TENANT, DEFAULT_KNOWLEDGE_BASE, digest), text)
        _store_segments(store, build.manifest, build.folder)
    name = manifest_name(DEFAULT_TENANT, DEFAULT_KNOWLEDGE_BASE, number)
    store.put_if_absent(name, signed(build.manifest, signer))
    return build.manifest


def _read(folder: Path, tell: Told) -> list[Ingested]:
    names = sorted(FolderWalk(folder).whole().found)
    documents = []
    for number, name in enumerate(names):
        tell("reading", number, len(names))
        documents.append(ingest(name, (folder / name).read_bytes()))
    tell("reading", len(names), len(names))
    return documents


def _store_segments(store: ArtifactStore, manifest: Manifest, folder: Path) -> None:
    for segment in manifest.segments:
        for file in segment.files:
            name = segment_file_name(DEFAULT_TENANT, manifest.kb, segment.name, file)
            store.put_file_if_absent(name, folder / file)


def made(manifest: Manifest) -> dict[str, Any]:
    """Return what is told of a generation."""
    return {
        "kb": manifest.kb,
        "generation": manifest.generation,
        "digest": manifest.digest,
        "manifest": manifest_name(manifest.tenant, manifest.kb, manifest.generation),
        "passages": sum(entry.passages for entry in manifest.documents),
        "failed": [
            [entry.document, entry.reason]
            for entry in manifest.documents
            if entry.status == "failed"
        ],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m coordinator.once", description=__doc__)
    for name in ("documents", "artifacts", "signing-key", "models"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--backend", default="onnx")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(arguments)
    configure_logs("error", to=sys.stderr)  # facts go to stdout

    def say(**facts: Any) -> None:
        sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    try:
        place = RemotePlace(
            environment_value("ENCODER_URL") or "", environment_value("ENCODER_API_KEY") or ""
        )
        encoder = make_encoder(
            asked.model, asked.backend, asked.models, asked.threads, remote=place
        )
        manifest = build_once(
            asked.documents,
            asked.artifacts,
            encoder=encoder,
            signer=read_signing_key(asked.signing_key),
            tell=lambda doing, done, of: say(doing=doing, done=done, of=of),
        )
    except (EncoderSetupError, ValueError, OSError) as error:
        say(problem=str(error))
        return 1
    say(made=made(manifest))
    return 0


if __name__ == "__main__":
    sys.exit(main())
