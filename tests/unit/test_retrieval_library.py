"""How a pod comes to newer knowledge, and what it does when that goes wrong."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.faiss.segment_format import FaissSegmentFormat
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.artifact_names import knowledge_base_prefix, manifest_name, text_name
from kotaemon_node.domain.errors import (
    CorruptArtifact,
    KnowledgeBehind,
    NotFound,
    StoreUnavailable,
    Unavailable,
)
from kotaemon_node.domain.knowledge import GenerationRef, SegmentEntry, document_id
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.segments import Segment
from kotaemon_node.retrieval import shelves
from kotaemon_node.retrieval.library import KnowledgeLibrary
from tests.fakes.encoder import HashingEncoder
from tests.fakes.knowledge import TENANT, FakePointer, Publisher
from tests.fakes.signing import VERIFIER

LAMPS = {"lamps.md": "Lamps ship in two days.\n\nA lamp may be returned within 30 days."}
CHAIRS = {"chairs.md": "Chairs have a warranty of five years."}


class CountingFormat(FaissSegmentFormat):
    """Counts what is opened and closed."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.closed: list[str] = []

    def open(self, files: Mapping[str, Path], entry: SegmentEntry) -> Segment:
        segment = super().open(files, entry)
        self.opened.append(entry.name)
        close = segment.close

        def count_and_close() -> None:
            self.closed.append(entry.name)
            close()

        segment.close = count_and_close  # type: ignore[method-assign]
        return segment


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


@pytest.fixture
def segment_format() -> CountingFormat:
    return CountingFormat()


@pytest.fixture
def library(publisher: Publisher, segment_format: CountingFormat) -> KnowledgeLibrary:
    return new_library(publisher, segment_format)


def new_library(
    publisher: Publisher,
    segment_format: CountingFormat | None = None,
    **counting: Callable[..., None],
) -> KnowledgeLibrary:
    def encoder_for(name: str) -> Encoder:
        if name != publisher.encoder.name:
            raise Unavailable(f"this pod has no encoder {name}")
        return publisher.encoder

    return KnowledgeLibrary(
        store=publisher.store,
        segment_format=segment_format or CountingFormat(),
        verifier=VERIFIER,
        pointer=publisher.pointer,
        encoder_for=encoder_for,
        tasks=ThreadTasks(),
        clock=SystemClock(),
        tenant=TENANT,
        **counting,
    )


def best(library: KnowledgeLibrary, question: str) -> str:
    return library.search("default", question, top_k=1).hits[0].passage.text


# Coming to newer generations.


def test_a_published_generation_is_served(library: KnowledgeLibrary, publisher: Publisher) -> None:
    ref = publisher.publish(LAMPS, CHAIRS)
    library.reconcile()
    assert library.served() == {"default": ref}
    assert library.manifest("default").digest == ref.digest
    found = library.search("default", "warranty of chairs", top_k=2)
    assert (found.kb, found.generation, found.digest) == ("default", 1, ref.digest)
    assert found.hits[0].passage.text == CHAIRS["chairs.md"]


def test_a_change_shows_and_a_deletion_ends_retrieval(
    library: KnowledgeLibrary, publisher: Publisher
) -> None:
    publisher.publish(LAMPS, CHAIRS)
    library.reconcile()
    changed = {"chairs.md": "Chairs have a warranty of seven years."}
    publisher.publish(LAMPS, CHAIRS, changed)
    library.reconcile()
    texts = [hit.passage.text for hit in library.search("default", "chairs", top_k=9).hits]
    assert changed["chairs.md"] in texts
    assert CHAIRS["chairs.md"] not in texts
    publisher.publish(LAMPS)
    library.reconcile()
    documents = {hit.passage.document for hit in library.search("default", "chairs", top_k=9).hits}
    assert documents == {"lamps.md"}


def test_segments_in_common_are_opened_once_and_closed_with_their_last_generation(
    library: KnowledgeLibrary, publisher: Publisher, segment_format: CountingFormat
) -> None:
    publisher.publish(LAMPS)
    library.reconcile()
    publisher.publish(LAMPS, CHAIRS)
    library.reconcile()
    assert len(segment_format.opened) == 2
    assert segment_format.closed == []
    publisher.publish(CHAIRS)
    library.reconcile()
    assert len(segment_format.opened) == 2
    assert segment_format.closed == [segment_format.opened[0]]


def test_looking_again_at_the_same_generation_opens_nothing(
    library: KnowledgeLibrary, publisher: Publisher, segment_format: CountingFormat
) -> None:
    publisher.publish(LAMPS)
    for _ in range(3):
        library.reconcile()
        library.reload("default")
    assert len(segment_format.opened) == 1


def test_a_pod_that_starts_does_not_begin_with_what_was_newest_when_it_looked(
    library: KnowledgeLibrary, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given generations that are published while the first one is being loaded
    publisher.publish(LAMPS)
    seen: list[tuple[int, bool]] = []
    read = publisher.pointer.current

    def current(tenant: str) -> Mapping[str, GenerationRef]:
        pointed = read(tenant)
        seen.append((pointed["default"].generation, library.loaded))
        if publisher.generation < 3:
            publisher.publish(LAMPS, CHAIRS)
        return pointed

    monkeypatch.setattr(publisher.pointer, "current", current)
    # Then it comes to the last of them before it says that it has loaded, and looks once later on
    library.reconcile()
    assert (library.served()["default"].generation, library.loaded) == (3, True)
    assert seen == [(1, False), (2, False), (3, False), (3, False)]
    library.reconcile()
    assert len(seen) == 5


def test_a_lost_or_older_pointer_changes_nothing(
    library: KnowledgeLibrary, publisher: Publisher
) -> None:
    first = publisher.publish(LAMPS)
    second = publisher.publish(LAMPS, CHAIRS)
    library.reconcile()
    for refs in ({}, {"default": first}):
        publisher.pointer.refs = refs
        library.reconcile()
        assert library.served() == {"default": second}
    publisher.pointer.away = True
    library.reconcile()
    assert library.served() == {"default": second}


def test_the_same_number_with_another_digest_is_loaded(
    library: KnowledgeLibrary, publisher: Publisher
) -> None:
    # Given a store that was restored from a backup and numbered on differently
    publisher.publish(LAMPS)
    library.reconcile()
    publisher.store.delete(manifest_name(TENANT, "default", 1))
    publisher.generation = 0
    other = publisher.publish(CHAIRS)
    library.reconcile()
    assert library.served() == {"default": other}
    assert best(library, "lamp") == CHAIRS["chairs.md"]


@pytest.mark.parametrize("away", [False, True])
def test_a_pod_that_starts_without_a_pointer_looks_into_the_store(
    publisher: Publisher, away: bool
) -> None:
    publisher.publish(LAMPS)
    newest = publisher.publish(CHAIRS)
    publisher.pointer.refs = {}
    publisher.pointer.away = away
    library = new_library(publisher)
    library.reconcile()
    assert library.served() == {"default": newest}


def test_a_wake_loads_in_a_task_and_only_when_something_is_newer(
    library: KnowledgeLibrary, publisher: Publisher
) -> None:
    publisher.publish(LAMPS)
    library.wake("default", 1)
    assert library.search("default", "lamp", top_k=1, min_generation=1).generation == 1
    reads = publisher.pointer.reads
    library.wake("default", 1)
    library.wake("default", 0)
    assert publisher.pointer.reads == reads


# When it goes wrong.


def damage_nothing(publisher: Publisher, ref: GenerationRef) -> None:
    """Leave the files whole; the encoder is another one."""
    publisher.encoder = HashingEncoder("another")


def damage_segment(publisher: Publisher, ref: GenerationRef) -> None:
    names = [name for name in publisher.store.list("") if name.endswith("postings.i32")]
    path = publisher.store.open_local(names[-1])
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def lose_segment_file(publisher: Publisher, ref: GenerationRef) -> None:
    names = [name for name in publisher.store.list("") if name.endswith("passages.jsonl")]
    for name in names:
        publisher.store.delete(name)


def lose_manifest(publisher: Publisher, ref: GenerationRef) -> None:
    publisher.store.delete(ref.manifest)


def garble_manifest(publisher: Publisher, ref: GenerationRef) -> None:
    publisher.store.delete(ref.manifest)
    publisher.store.put_if_absent(ref.manifest, b'{"schema": 1}')


def point_with_other_digest(publisher: Publisher, ref: GenerationRef) -> None:
    publisher.pointer.refs["default"] = GenerationRef("default", 2, "0" * 64, ref.manifest)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (damage_nothing, "no encoder hashing"),
        (damage_segment, "sha256"),
        (lose_segment_file, "has no"),
        (lose_manifest, "has no"),
        (garble_manifest, "not signed"),
        (point_with_other_digest, "digest"),
    ],
)
def test_whatever_is_wrong_the_old_generation_stays_and_the_reason_is_told(
    tmp_path: Path, damage: Callable[[Publisher, GenerationRef], None], reason: str
) -> None:
    # Given a pod that serves generation 1
    publisher = Publisher(tmp_path, encoder=HashingEncoder("first"))
    first = publisher.publish(LAMPS)
    library = new_library(publisher)
    library.reconcile()
    publisher.encoder = HashingEncoder("hashing")
    # When generation 2 is broken
    good = publisher.publish({"sofas.md": "Sofas are delivered by lorry."})
    damage(publisher, good)
    library.reconcile()
    # Then the pod goes on with generation 1 and says why
    assert library.served() == {"default": first}
    assert best(library, "lamp returned") == "A lamp may be returned within 30 days."
    assert reason in library.refused["default"]
    assert library.refused["default"].startswith("generation 2: ")
    # And a good generation 3 clears it
    publisher.encoder = HashingEncoder("hashing")
    third = publisher.publish(CHAIRS)
    library.reconcile()
    assert library.served() == {"default": third}
    assert library.refused == {}


def test_a_refused_generation_leaves_no_segment_open(
    library: KnowledgeLibrary, publisher: Publisher, segment_format: CountingFormat
) -> None:
    # Given a generation whose second segment is damaged
    publisher.publish(CHAIRS)
    library.reconcile()
    ref = publisher.publish(CHAIRS, {"a.md": "first"}, {"b.md": "second"})
    damage_segment(publisher, ref)
    library.reconcile()
    assert "sha256" in library.refused["default"]
    assert sorted([segment_format.opened[0], *segment_format.closed]) == sorted(
        segment_format.opened
    )


def test_a_generation_that_cannot_be_searched_is_never_served(
    library: KnowledgeLibrary, publisher: Publisher, segment_format: CountingFormat
) -> None:
    publisher.publish(LAMPS)
    library.reconcile()
    publisher.publish(CHAIRS, extra={"analysis": "of a later release"})
    library.reconcile()
    assert "of a later release" in library.refused["default"]
    assert library.served()["default"].generation == 1


def test_a_pod_that_starts_while_the_newest_is_broken_serves_the_one_before(
    publisher: Publisher,
) -> None:
    publisher.publish(LAMPS)
    second = publisher.publish(CHAIRS)
    lose_manifest(publisher, second)
    library = new_library(publisher)
    library.reconcile()
    assert library.served()["default"].generation == 1
    assert library.refused["default"].startswith("generation 2: ")


def test_a_pod_that_could_load_nothing_says_so(publisher: Publisher) -> None:
    lose_manifest(publisher, publisher.publish(LAMPS))
    library = new_library(publisher)
    library.reconcile()
    assert library.served() == {}
    with pytest.raises(Unavailable, match="generation 1: "):
        library.search("default", "lamp", top_k=1)


# Reading.


def test_an_unknown_knowledge_base_is_not_found(
    library: KnowledgeLibrary, publisher: Publisher
) -> None:
    publisher.publish(LAMPS)
    library.reconcile()
    calls: list[Callable[[], Any]] = [
        lambda: library.search("none", "lamp", top_k=1),
        lambda: library.search("none", "lamp", top_k=1, min_generation=1),
        lambda: library.manifest("none"),
        lambda: library.generations("none"),
        lambda: library.document("none", "lamps.md"),
        lambda: library.document("default", "none.md"),
        lambda: library.source("none", 1, "0" * 16 + "-0-1"),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()


def test_a_search_that_needs_a_newer_generation_waits_for_it(
    library: KnowledgeLibrary, publisher: Publisher
) -> None:
    publisher.publish(LAMPS)
    library.reconcile()
    publisher.publish(LAMPS, CHAIRS)
    found = library.search("default", "chairs", top_k=1, min_generation=2)
    assert found.generation == 2


def test_a_search_that_waits_in_vain_is_told_that_this_pod_is_behind(
    library: KnowledgeLibrary, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "BEHIND_WAIT_S", 0.05)
    publisher.publish(LAMPS)
    library.reconcile()
    with pytest.raises(KnowledgeBehind, match="generation 2"):
        library.search("default", "lamp", top_k=1, min_generation=2)
    publisher.pointer.away = True
    with pytest.raises(StoreUnavailable), library.pinned("other", min_generation=1):
        pass


def test_a_pinned_generation_stays_until_it_is_given_back(
    library: KnowledgeLibrary, publisher: Publisher, segment_format: CountingFormat
) -> None:
    publisher.publish(LAMPS)
    library.reconcile()
    with library.pinned("default") as searcher:
        publisher.publish(CHAIRS)
        library.reconcile()
        assert library.served()["default"].generation == 2
        found = searcher.search("lamp returned", top_k=1)
        assert (found.generation, found.hits[0].passage.document) == (1, "lamps.md")
        assert segment_format.closed == []
    assert segment_format.closed == [segment_format.opened[0]]


def test_readers_meet_no_error_and_no_mixture_while_generations_change(
    library: KnowledgeLibrary, publisher: Publisher
) -> None:
    # Given readers that search all the time, and passages that name their generation
    publisher.publish({"d.md": "lamp of generation 1"})
    library.reconcile()
    stop = threading.Event()
    failures: list[object] = []

    def read() -> None:
        while not stop.is_set():
            try:
                found = library.search("default", "lamp", top_k=3)
                texts = [hit.passage.text for hit in found.hits]
                if texts != [f"lamp of generation {found.generation}"]:
                    failures.append((found.generation, texts))
            except Exception as error:  # noqa: BLE001 - shown by the assertion below
                failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(2, 25):
        publisher.publish({"d.md": f"lamp of generation {number}"})
        library.wake("default", number)
        library.reconcile()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert library.served()["default"].generation == 24


def test_the_generations_kept_are_listed_newest_first(
    library: KnowledgeLibrary, publisher: Publisher
) -> None:
    first = publisher.publish(LAMPS)
    second = publisher.publish(LAMPS, CHAIRS)
    library.reconcile()
    rows = library.generations("default")
    assert [(row.generation, row.digest) for row in rows] == [
        (2, second.digest),
        (1, first.digest),
    ]
    assert [(row.documents, row.passages) for row in rows] == [(2, 3), (1, 2)]


def test_a_document_is_read_whole_with_its_passages(
    library: KnowledgeLibrary, publisher: Publisher
) -> None:
    publisher.publish(CHAIRS, LAMPS)
    library.reconcile()
    text, passages = library.document("default", "lamps.md")
    assert text == LAMPS["lamps.md"]
    assert [text[slice(*passage.span)] for passage in passages] == text.split("\n\n")


# Citations.


def test_a_citation_opens_when_its_index_is_long_gone(
    library: KnowledgeLibrary, publisher: Publisher
) -> None:
    # Given a passage cited from generation 1
    publisher.publish(LAMPS)
    library.reconcile()
    hit = library.search("default", "lamp returned", top_k=1).hits[0]
    # When the document is gone from the next generation, and its segment from the store
    publisher.publish(CHAIRS)
    library.reconcile()
    for name in list(publisher.store.list(f"{knowledge_base_prefix(TENANT, 'default')}segments/")):
        publisher.store.delete(name)
    # Then the citation still shows the passage in its document as it was
    source = library.source("default", 1, hit.passage.id)
    assert source.text[slice(*source.span)] == hit.passage.text
    assert (source.document, source.title) == ("lamps.md", "lamps.md")
    assert source.text == LAMPS["lamps.md"]


@pytest.mark.parametrize(
    "passage", ["", "x", "0-1", "{id}", "{id}-5-5", "{id}-9-2", "{id}-0-99999", "{id}-00-5"]
)
def test_a_passage_that_never_was_is_not_found(
    library: KnowledgeLibrary, publisher: Publisher, passage: str
) -> None:
    publisher.publish(LAMPS)
    revision = publisher_revision(library, publisher)
    with pytest.raises(NotFound):
        library.source("default", 1, passage.replace("{id}", revision))


@pytest.mark.parametrize("generation", [-1, 0, 2, 10**30])
def test_a_generation_that_never_was_is_not_found(
    library: KnowledgeLibrary, publisher: Publisher, generation: int
) -> None:
    publisher.publish(LAMPS)
    passage = publisher_revision(library, publisher) + "-0-4"
    assert library.source("default", 1, passage).text == LAMPS["lamps.md"]
    with pytest.raises(NotFound):
        library.source("default", generation, passage)


def test_a_text_no_longer_kept_says_so_and_a_damaged_one_is_not_shown(
    library: KnowledgeLibrary, publisher: Publisher
) -> None:
    publisher.publish(LAMPS)
    passage = publisher_revision(library, publisher) + "-0-4"
    entry = library.manifest("default").documents[0]
    name = text_name(TENANT, "default", str(entry.text))
    publisher.store.open_local(name).write_bytes(b"Lamps never ship.")
    with pytest.raises(CorruptArtifact):
        library.source("default", 1, passage)
    publisher.store.delete(name)
    with pytest.raises(NotFound, match="no longer kept"):
        library.source("default", 1, passage)


def publisher_revision(library: KnowledgeLibrary, publisher: Publisher) -> str:
    """Load what was published; return the first part of its document's passage ids."""
    library.reconcile()
    entry = library.manifest("default").documents[0]
    return document_id(document=entry.document, revision=entry.revision)


def test_every_tenant_has_a_library_of_its_own(publisher: Publisher) -> None:
    publisher.publish(LAMPS)
    publisher.pointer.refs = {}

    class OtherPointer(FakePointer):
        def current(self, tenant: str) -> Mapping[str, GenerationRef]:
            return {}

    library = KnowledgeLibrary(
        store=publisher.store,
        segment_format=FaissSegmentFormat(),
        verifier=VERIFIER,
        pointer=OtherPointer(),
        encoder_for=lambda _: publisher.encoder,
        tasks=ThreadTasks(),
        clock=SystemClock(),
        tenant="another",
    )
    library.reconcile()
    assert library.served() == {}
