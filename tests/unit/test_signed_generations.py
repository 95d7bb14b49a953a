"""A pod serves what a trusted key has signed for this very place, whole, and nothing else."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import pytest
import structlog

from kotaemon_node.adapters.faiss import FaissSegmentFormat, layout
from kotaemon_node.adapters.signing import Ed25519Signer, TrustedKeys
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.artifact_names import manifest_name, text_name
from kotaemon_node.domain.errors import CorruptArtifact, NotFound
from kotaemon_node.domain.knowledge import GenerationRef, Manifest
from kotaemon_node.domain.signed_manifest import split
from kotaemon_node.ports.signing import Verifier
from kotaemon_node.retrieval.library import KnowledgeLibrary
from kotaemon_node.retrieval.manifests import signed
from tests.fakes.knowledge import TENANT, Publisher
from tests.fakes.signing import SIGNER, STRANGER, VERIFIER

LAMPS = {"lamps.md": "Lamps ship in two days.\n\nA lamp may be returned within 30 days."}
CHAIRS = {"chairs.md": "Chairs have a warranty of five years."}


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Drop the log: printing the traces of all these refusals takes most of a minute."""
    with structlog.testing.capture_logs():
        yield


class Pod:
    """A library, and what it counted."""

    def __init__(self, publisher: Publisher, verifier: Verifier = VERIFIER) -> None:
        self.counted: list[tuple[str, str]] = []
        self.library = KnowledgeLibrary(
            store=publisher.store,
            segment_format=FaissSegmentFormat(),
            verifier=verifier,
            pointer=publisher.pointer,
            encoder_for=lambda _: publisher.encoder,
            tasks=ThreadTasks(),
            clock=SystemClock(),
            tenant=TENANT,
            count_refused=lambda kb, reason: self.counted.append((kb, reason)),
        )
        self.library.reconcile()

    @property
    def number(self) -> int:
        return self.library.served()["default"].generation


def put(publisher: Publisher, name: str, raw: bytes) -> None:
    publisher.store.delete(name)
    publisher.store.put_if_absent(name, raw)


def raw_of(publisher: Publisher, ref: GenerationRef) -> bytes:
    raw = publisher.store.get(ref.manifest)
    assert raw is not None
    return raw


def manifest_of(publisher: Publisher, ref: GenerationRef) -> Manifest:
    return Manifest.from_json(split(raw_of(publisher, ref)).payload)


# What an attacker, a disk or a mistake may leave in the place of generation 2. Each returns what
# the pointer then says of it.

Harm = Callable[[Publisher, GenerationRef, GenerationRef], GenerationRef]


def unsigned(publisher: Publisher, first: GenerationRef, ref: GenerationRef) -> GenerationRef:
    put(publisher, ref.manifest, split(raw_of(publisher, ref)).payload)
    return ref


def stranger(publisher: Publisher, first: GenerationRef, ref: GenerationRef) -> GenerationRef:
    put(publisher, ref.manifest, signed(manifest_of(publisher, ref), STRANGER))
    return ref


def stranger_under_our_name(
    publisher: Publisher, first: GenerationRef, ref: GenerationRef
) -> GenerationRef:
    envelope = split(signed(manifest_of(publisher, ref), STRANGER))
    put(publisher, ref.manifest, replace(envelope, key_id=SIGNER.key_id).to_bytes())
    return ref


def changed(publisher: Publisher, first: GenerationRef, ref: GenerationRef) -> GenerationRef:
    forged = replace(manifest_of(publisher, ref), created_at="2030-01-01T00:00:00Z")
    envelope = split(raw_of(publisher, ref))
    put(publisher, ref.manifest, replace(envelope, payload=forged.to_json()).to_bytes())
    return replace(ref, digest=forged.digest)


def truncated(publisher: Publisher, first: GenerationRef, ref: GenerationRef) -> GenerationRef:
    put(publisher, ref.manifest, raw_of(publisher, ref)[:-1])
    return ref


def header_alone(publisher: Publisher, first: GenerationRef, ref: GenerationRef) -> GenerationRef:
    put(publisher, ref.manifest, raw_of(publisher, ref).partition(b"\n")[0])
    return ref


def signature_without_purpose(
    publisher: Publisher, first: GenerationRef, ref: GenerationRef
) -> GenerationRef:
    envelope = split(raw_of(publisher, ref))
    signature = SIGNER.sign(envelope.payload)
    put(publisher, ref.manifest, replace(envelope, signature=signature).to_bytes())
    return ref


def older_under_a_new_number(
    publisher: Publisher, first: GenerationRef, ref: GenerationRef
) -> GenerationRef:
    put(publisher, ref.manifest, raw_of(publisher, first))
    return replace(ref, digest=first.digest)


def of_another_knowledge_base(
    publisher: Publisher, first: GenerationRef, ref: GenerationRef
) -> GenerationRef:
    other = replace(manifest_of(publisher, ref), kb="staff")
    put(publisher, ref.manifest, signed(other, SIGNER))
    return replace(ref, digest=other.digest)


def of_another_tenant(
    publisher: Publisher, first: GenerationRef, ref: GenerationRef
) -> GenerationRef:
    other = replace(manifest_of(publisher, ref), tenant="rival")
    put(publisher, ref.manifest, signed(other, SIGNER))
    return replace(ref, digest=other.digest)


def wrong_digest(publisher: Publisher, first: GenerationRef, ref: GenerationRef) -> GenerationRef:
    return replace(ref, digest="0" * 64)


def names_of_segments(publisher: Publisher, ref: GenerationRef) -> list[str]:
    (entry,) = manifest_of(publisher, ref).segments
    return [name for name in publisher.store.list("") if f"/{entry.name}/" in name]


def segment_flipped(publisher: Publisher, _: GenerationRef, ref: GenerationRef) -> GenerationRef:
    name = next(name for name in names_of_segments(publisher, ref) if name.endswith(".faiss"))
    raw = publisher.store.get(name) or b""
    put(publisher, name, raw[:20] + bytes([raw[20] ^ 0x80]) + raw[21:])
    return ref


def segment_truncated(publisher: Publisher, _: GenerationRef, ref: GenerationRef) -> GenerationRef:
    name = next(name for name in names_of_segments(publisher, ref) if name.endswith(".faiss"))
    put(publisher, name, (publisher.store.get(name) or b"")[:-8])
    return ref


def segment_empty(publisher: Publisher, _: GenerationRef, ref: GenerationRef) -> GenerationRef:
    for name in names_of_segments(publisher, ref):
        put(publisher, name, b"")
    return ref


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (unsigned, "unsigned"),
        (stranger, "unknown_key"),
        (stranger_under_our_name, "bad_signature"),
        (changed, "bad_signature"),
        (truncated, "bad_signature"),
        (header_alone, "unsigned"),
        (signature_without_purpose, "bad_signature"),
        (older_under_a_new_number, "misplaced"),
        (of_another_knowledge_base, "misplaced"),
        (of_another_tenant, "misplaced"),
        (wrong_digest, "corrupt"),
        (segment_flipped, "corrupt"),
        (segment_truncated, "corrupt"),
        (segment_empty, "corrupt"),
    ],
)
def test_a_bad_generation_is_refused_and_the_old_one_serves(
    publisher: Publisher, harm: Harm, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a pod that serves generation 1
    first = publisher.publish(LAMPS)
    pod = Pod(publisher)
    # When the pointer leads to a bad generation 2, and nobody may parse what is bad
    second = publisher.publish(CHAIRS)
    publisher.pointer.refs["default"] = harm(publisher, first, second)
    if reason not in {"misplaced"}:  # these are signed: they have to be read to be recognised
        forbid_parsing(monkeypatch, manifests=reason != "corrupt" or harm is wrong_digest)
    pod.library.reconcile()
    # Then it goes on with generation 1, and says and counts why
    assert pod.number == 1
    assert pod.library.search("default", "lamp", top_k=1).generation == 1
    assert pod.library.refused["default"].startswith("generation 2: ")
    assert pod.counted == [("default", reason)]
    # A pod that starts meanwhile does the same
    monkeypatch.undo()
    assert Pod(publisher).number == 1
    # And a good generation 3 ends it
    publisher.publish({"sofas.md": "Sofas are delivered by lorry."})
    pod.library.reconcile()
    assert (pod.number, pod.library.refused) == (3, {})


def forbid_parsing(monkeypatch: pytest.MonkeyPatch, *, manifests: bool) -> None:
    def never(*_: Any, **__: Any) -> Any:
        pytest.fail("bytes that nobody vouches for reached a parser")

    monkeypatch.setattr(faiss, "read_index", never)
    monkeypatch.setattr(layout, "mapped", never)
    if manifests:
        monkeypatch.setattr(Manifest, "from_json", never)


def test_without_trusted_keys_nothing_is_served_and_the_reason_is_told(
    publisher: Publisher,
) -> None:
    publisher.publish(LAMPS)
    pod = Pod(publisher, TrustedKeys([]))
    assert pod.library.served() == {}
    assert "TRUSTED_KEYS is empty" in pod.library.refused["default"]
    assert ("default", "unknown_key") in pod.counted


def test_while_keys_change_both_are_trusted(publisher: Publisher) -> None:
    # Given a pod that trusts the old and the new key
    both = TrustedKeys([SIGNER.public_key, STRANGER.public_key])
    publisher.publish(LAMPS)
    pod = Pod(publisher, both)
    # When the coordinator begins to sign with the new one
    publisher.signer = STRANGER
    publisher.publish(CHAIRS)
    pod.library.reconcile()
    assert pod.number == 2
    # Then a pod that trusts the new one alone serves it too
    assert Pod(publisher, TrustedKeys([STRANGER.public_key])).number == 2


def test_citations_and_lists_take_only_what_is_signed(publisher: Publisher) -> None:
    first = publisher.publish(LAMPS)
    second = publisher.publish(CHAIRS)
    passage = Pod(publisher).library.search("default", "chairs", top_k=1).hits[0].passage.id
    pod = Pod(publisher)
    stranger(publisher, first, second)
    with pytest.raises(NotFound, match="to trust"):
        pod.library.source("default", 2, passage)
    assert [row.generation for row in Pod(publisher).library.generations("default")] == [1]


@pytest.mark.parametrize("harm", [lambda raw: raw[:-1], lambda raw: raw + b".", lambda _: b""])
def test_a_damaged_text_is_never_shown(
    publisher: Publisher, harm: Callable[[bytes], bytes]
) -> None:
    ref = publisher.publish(CHAIRS)
    pod = Pod(publisher)
    passage = pod.library.search("default", "chairs", top_k=1).hits[0].passage.id
    digest = manifest_of(publisher, ref).documents[0].text
    assert digest is not None
    name = text_name(TENANT, "default", digest)
    put(publisher, name, harm(publisher.store.get(name) or b""))
    with pytest.raises(CorruptArtifact):
        pod.library.source("default", 1, passage)


def test_an_older_pointer_or_store_never_takes_a_pod_back(publisher: Publisher) -> None:
    first = publisher.publish(LAMPS)
    publisher.publish(CHAIRS)
    pod = Pod(publisher)
    publisher.pointer.refs["default"] = first
    publisher.store.delete(manifest_name(TENANT, "default", 2))
    pod.library.reconcile()
    assert pod.number == 2


def test_a_private_key_never_shows_in_what_a_signer_says() -> None:
    signer = Ed25519Signer.of_seed(bytes(range(32)))
    assert signer.public_key.startswith("ed25519:")
    assert len(signer.key_id) == 16
    assert "\\x00\\x01" not in repr(signer)
