"""Parsing a manifest in pieces gives what parsing it whole gives, whatever its texts hold."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kotaemon_node.domain.knowledge import DocumentEntry, Manifest, SegmentEntry
from kotaemon_node.retrieval.manifest_pieces import ManifestPieces

# What looks like the places where a manifest is cut.
MARKS = ('","documents":[{"document":', '},{"document":', '}],"encoder":', '"', "\\", "},{", "é水")
TEXTS = st.one_of(st.text(max_size=8), st.lists(st.sampled_from(MARKS), max_size=4).map("".join))
EXTRAS = st.recursive(
    TEXTS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["documents", "document", "encoder", "x"]), inner),
    ),
)
DOCUMENTS = st.builds(
    DocumentEntry,
    document=TEXTS,
    revision=TEXTS,
    title=TEXTS,
    status=st.sampled_from(["indexed", "failed"]),
    reason=st.none() | TEXTS,
    file_bytes=st.integers(0, 2**40),
    text_chars=st.integers(0, 9),
    passages=st.integers(0, 9),
    text=st.none() | TEXTS,
    segment=st.none() | TEXTS,
    indexed_at=TEXTS,
)
MANIFESTS = st.builds(
    Manifest,
    tenant=st.just("default"),
    kb=st.just("default"),
    generation=st.integers(1, 99),
    parent=st.none() | TEXTS,
    encoder=TEXTS,
    spaces=st.dictionaries(TEXTS, st.integers(1, 9), max_size=2),
    segments=st.lists(
        st.builds(
            SegmentEntry,
            name=TEXTS,
            passages=st.integers(0, 9),
            size_bytes=st.integers(0, 9),
            files=st.dictionaries(TEXTS, TEXTS, max_size=2),
        ),
        max_size=2,
    ).map(tuple),
    documents=st.lists(DOCUMENTS, max_size=4).map(tuple),
    created_at=TEXTS,
    extra=st.dictionaries(st.sampled_from(["documents", "z"]), EXTRAS, max_size=2),
)


@settings(max_examples=60, deadline=None)
@given(before=MANIFESTS, manifest=MANIFESTS)
def test_pieces_say_what_the_whole_says(before: Manifest, manifest: Manifest) -> None:
    pieces = ManifestPieces()
    pieces.parse("default", before.to_json())
    payload = manifest.to_json()

    parsed = pieces.parse("default", payload)

    assert parsed == Manifest.from_json(payload) == manifest
    assert parsed.digest == manifest.digest
    assert pieces.parse("default", payload) == manifest  # out of what is remembered


@settings(max_examples=60, deadline=None)
@given(manifest=MANIFESTS, changed=DOCUMENTS)
def test_what_is_unchanged_is_shared_between_generations(
    manifest: Manifest, changed: DocumentEntry
) -> None:
    pieces = ManifestPieces()
    # A time with a quote in it is none; such a manifest is read whole.
    manifest = replace(manifest, created_at="2026-01-01T00:00:00Z")
    first = pieces.parse("default", manifest.to_json())
    following = replace(manifest, documents=(*manifest.documents, changed))

    second = pieces.parse("default", following.to_json())

    shared = {id(entry) for entry in first.documents}
    assert all(id(entry) in shared for entry in second.documents[: len(first.documents)])
    assert second.digest != first.digest  # that of the one it was made from is not inherited


def _entries(*names: str) -> tuple[DocumentEntry, ...]:
    return tuple(
        DocumentEntry(name, f"r{name}", name, "indexed", None, 1, 1, 1, "t", "s", "now")
        for name in names
    )


FEW = st.lists(st.sampled_from(_entries("a", "aa", "b", "ab", '},{"document":')), max_size=9)


@settings(max_examples=300, deadline=None)
@given(st.lists(FEW, min_size=2, max_size=4))
def test_documents_that_come_and_go_are_found_wherever_they_stand(
    generations: list[list[DocumentEntry]],
) -> None:
    first = Manifest.from_json(_valid())
    pieces = ManifestPieces()
    for documents in generations:
        manifest = replace(first, documents=tuple(documents))
        assert pieces.parse("default", manifest.to_json()) == manifest


def _broken(**changed: Any) -> bytes:
    said = json.loads(_valid())
    return json.dumps({**said, **changed}, sort_keys=True, separators=(",", ":")).encode()


def _valid() -> bytes:
    entry = DocumentEntry("a.md", "r", "A", "indexed", None, 1, 1, 1, "t", "s", "now")
    segment = SegmentEntry("s", 1, 1, {})
    manifest = Manifest("default", "default", 1, None, "e", {}, (segment,), (entry,), "now")
    return manifest.to_json()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        _valid()[:-1],
        _valid().replace(b'"title"', b'"titel"'),
        _broken(schema=2),
        _broken(documents=[{"document": "a.md"}]),
        _broken(_digest="another"),
    ],
)
def test_what_is_no_manifest_is_refused_by_both(payload: bytes) -> None:
    for parse in (Manifest.from_json, lambda raw: ManifestPieces().parse("default", raw)):
        with pytest.raises((ValueError, LookupError, TypeError)):
            parse(payload)


def test_a_manifest_in_another_order_is_read_whole() -> None:
    other = json.dumps(json.loads(_valid()), indent=1).encode()
    assert ManifestPieces().parse("default", other) == Manifest.from_json(_valid())
