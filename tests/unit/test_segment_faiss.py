"""A segment on disk: what was written is found again, checked, mapped and let go."""

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kotaemon_node.adapters.faiss.segment_format import FaissSegmentFormat
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import Passage, SegmentEntry, passage_id
from kotaemon_node.domain.language import language_of
from kotaemon_node.ports.segments import Segment
from kotaemon_node.retrieval.analysis import terms
from tests.fakes.encoder import HashingEncoder

TEXTS = ["Lamps ship in two days.", "退货需在七天内。", "Lamps, lamps and a returned lamp."]


def passages_of(texts: Sequence[str]) -> list[Passage]:
    made: list[Passage] = []
    for number, text in enumerate(texts):
        document = f"document-{number % 2}.md"
        span = (number * 1000, number * 1000 + len(text))
        made.append(
            Passage(
                id=passage_id(document=document, revision="r1", span=span),
                document=document,
                revision="r1",
                title="Title",
                heading=("Top", "Below"),
                page=None,
                span=span,
                text=text,
                language=language_of(text),
            )
        )
    return made


def write(folder: Path, texts: Sequence[str], encoder: HashingEncoder) -> SegmentEntry:
    folder.mkdir()
    return FaissSegmentFormat().write(
        folder, passages_of(texts), [terms(text) for text in texts], encoder.encode_passages(texts)
    )


def files_in(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(params=[False, True], ids=["one space", "a space a language"])
def encoder(request: pytest.FixtureRequest) -> HashingEncoder:
    return HashingEncoder(by_language=request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "segment"


@pytest.fixture
def entry(folder: Path, encoder: HashingEncoder) -> SegmentEntry:
    return write(folder, TEXTS, encoder)


@pytest.fixture
def segment(folder: Path, entry: SegmentEntry) -> Segment:
    return FaissSegmentFormat().open(files_in(folder), entry)


def test_rows_come_back_as_they_were(segment: Segment) -> None:
    assert segment.passages == 3
    assert [segment.passage(row) for row in range(3)] == passages_of(TEXTS)
    assert segment.documents == ("document-0.md", "document-1.md")
    assert segment.document_of_row.tolist() == [0, 1, 0]
    assert segment.lengths.tolist() == [sum(terms(text).values()) for text in TEXTS]


def test_every_term_is_found_with_its_rows_and_counts(segment: Segment) -> None:
    for term in {term for text in TEXTS for term in terms(text)}:
        rows, counts = segment.postings(term)
        expected = {row: terms(text)[term] for row, text in enumerate(TEXTS) if term in terms(text)}
        assert dict(zip(rows.tolist(), counts.tolist(), strict=True)) == expected
        assert rows.tolist() == sorted(rows.tolist())


@pytest.mark.parametrize("term", ["", "absent", "b", "zzz", "\U0010ffff", "退货款"])
def test_an_unknown_term_has_no_rows(segment: Segment, term: str) -> None:
    rows, counts = segment.postings(term)
    assert len(rows) == len(counts) == 0


def test_the_nearest_rows_are_those_of_the_largest_products(
    segment: Segment, encoder: HashingEncoder
) -> None:
    for text in TEXTS:
        for space, encoded in encoder.encode_queries([text]).items():
            rows, products = segment.nearest(space, encoded.vectors, 10)
            expected = {
                row: float(vectors[space] @ encoded.vectors[0])
                for row in range(3)
                if space in (vectors := segment.vector(row))
            }
            assert TEXTS[rows[0, 0]] == text
            assert products[0, 0] == pytest.approx(1.0, abs=1e-5)
            assert dict(zip(rows[0].tolist(), products[0].tolist(), strict=True)) == pytest.approx(
                expected, abs=1e-5
            )
            assert products[0].tolist() == sorted(products[0].tolist(), reverse=True)


def test_equal_vectors_are_equally_close_wherever_they_stand(tmp_path: Path) -> None:
    # Given copies of one text among others, in segments of different sizes
    encoder = HashingEncoder(dimension=100)
    query = encoder.encode_queries(["a lamp ships within two or three days"])["all"].vectors
    products: set[float] = set()
    for size in range(1, 12):
        texts = [f"chair number {number}" for number in range(size)]
        texts[size // 2] = "a lamp ships in two days"
        folder = tmp_path / str(size)
        entry = write(folder, texts, encoder)
        segment = FaissSegmentFormat().open(files_in(folder), entry)
        rows, found = segment.nearest("all", query, size)
        products.add(float(found[0][rows[0].tolist().index(size // 2)]))
    assert len(products) == 1


def test_vectors_come_back_for_merging(segment: Segment, encoder: HashingEncoder) -> None:
    for space, encoded in encoder.encode_passages(TEXTS).items():
        for row, vector in zip(encoded.positions.tolist(), encoded.vectors, strict=True):
            assert np.array_equal(segment.vector(row)[space], vector)


def test_a_space_that_is_not_there_has_nothing_near(segment: Segment) -> None:
    rows, products = segment.nearest("none", np.ones((2, 5), dtype=np.float32), 3)
    assert rows.shape == products.shape == (2, 0)


def test_equal_input_gives_an_equal_name_and_other_input_another(
    tmp_path: Path, entry: SegmentEntry, encoder: HashingEncoder
) -> None:
    assert write(tmp_path / "again", TEXTS, encoder) == entry
    assert write(tmp_path / "other", TEXTS[:2], encoder).name != entry.name


def test_the_entry_tells_the_size(folder: Path, entry: SegmentEntry) -> None:
    assert entry.size_bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert entry.passages == 3
    assert set(entry.files) == set(files_in(folder))


def test_a_segment_may_be_empty(tmp_path: Path, encoder: HashingEncoder) -> None:
    entry = write(tmp_path / "empty", [], encoder)
    segment = FaissSegmentFormat().open(files_in(tmp_path / "empty"), entry)
    assert segment.passages == 0
    assert len(segment.postings("a")[0]) == 0
    assert segment.nearest("all", np.ones((1, 64), dtype=np.float32), 1)[0].shape == (1, 0)


def test_every_flipped_byte_is_found_before_anything_is_served(
    folder: Path, entry: SegmentEntry
) -> None:
    for path in folder.iterdir():
        whole = path.read_bytes()
        path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        with pytest.raises(CorruptArtifact, match=path.name):
            FaissSegmentFormat().open(files_in(folder), entry)
        path.write_bytes(whole)
    FaissSegmentFormat().open(files_in(folder), entry).close()


def test_a_missing_file_is_named(folder: Path, entry: SegmentEntry) -> None:
    for path in list(folder.iterdir()):
        remaining = {name: at for name, at in files_in(folder).items() if name != path.name}
        with pytest.raises(CorruptArtifact, match=path.name):
            FaissSegmentFormat().open(remaining, entry)
        path.rename(folder.parent / "gone")
        with pytest.raises(CorruptArtifact):
            FaissSegmentFormat().open({**files_in(folder), path.name: path}, entry)
        (folder.parent / "gone").rename(path)


def test_files_that_do_not_belong_together_are_refused(
    tmp_path: Path, folder: Path, entry: SegmentEntry, encoder: HashingEncoder
) -> None:
    # Given right checksums of files of two different segments
    other = write(tmp_path / "other", TEXTS[:2], encoder)
    mixed = {**files_in(folder), "lengths.i32": tmp_path / "other" / "lengths.i32"}
    checksums = {**entry.files, "lengths.i32": other.files["lengths.i32"]}
    with pytest.raises(CorruptArtifact, match="belong together"):
        FaissSegmentFormat().open(mixed, replace(entry, files=checksums))


def test_an_open_segment_is_mapped_and_a_closed_one_is_not(
    folder: Path, entry: SegmentEntry
) -> None:
    def mapped() -> set[str]:
        lines = Path("/proc/self/maps").read_text().splitlines()
        return {Path(line.split()[-1]).name for line in lines if str(folder) in line}

    segment = FaissSegmentFormat().open(files_in(folder), entry)
    assert {"passages.jsonl", "postings.i32", "terms.txt"} <= mapped()
    assert {name for name in entry.files if name.endswith(".faiss")} <= mapped()
    segment.close()
    gc.collect()
    assert mapped() == set()
