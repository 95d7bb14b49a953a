"""Spaces of many vectors: searched by lists, exact in what they say, mapped, always the same."""

import gc
from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import layout
from kotaemon_node.adapters.faiss.space_writing import SpaceFiles
from kotaemon_node.adapters.faiss.spaces import FlatSpace, ListedSpace, Space, open_space
from kotaemon_node.domain.errors import CorruptArtifact

DIMENSION = 32
COUNT = 6_000
TOPICS = 150


def texts_like(count: int, *, seed: int) -> NDArray[np.float32]:
    """Return unit vectors that lie around topics, as those of passages do."""
    topics = np.random.default_rng(0).standard_normal((TOPICS, DIMENSION))
    rng = np.random.default_rng(seed)
    near = topics[rng.integers(TOPICS, size=count)] + rng.standard_normal((count, DIMENSION))
    return (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)


VECTORS = texts_like(COUNT, seed=1)
QUESTIONS = texts_like(100, seed=2)


def write(folder: Path, *, flat_rows_max: int, vectors: NDArray[np.float32] = VECTORS) -> Space:
    folder.mkdir()
    (folder / layout.vectors_file("all")).write_bytes(vectors.tobytes())
    rows = np.arange(0, 2 * len(vectors), 2, dtype=np.int32)
    SpaceFiles(folder, "all", DIMENSION).write(
        rows, flat_rows_max=flat_rows_max, alive=lambda: None
    )
    return reopened(folder)


def reopened(folder: Path) -> Space:
    return open_space("all", {path.name: path for path in folder.iterdir()})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spaces")


@pytest.fixture(scope="module")
def listed(folder: Path) -> Space:
    space = write(folder / "listed", flat_rows_max=100)
    assert isinstance(space, ListedSpace)
    return space


@pytest.fixture(scope="module")
def flat(folder: Path) -> Space:
    space = write(folder / "flat", flat_rows_max=COUNT)
    assert isinstance(space, FlatSpace)
    return space


def test_lists_find_what_comparing_all_finds(listed: Space, flat: Space) -> None:
    found, _ = listed.nearest(QUESTIONS, 10)
    expected, _ = flat.nearest(QUESTIONS, 10)
    same = [len(set(one) & set(other)) for one, other in zip(found, expected, strict=True)]
    assert sum(same) / expected.size >= 0.95


def test_a_row_is_as_close_by_lists_as_by_comparing_all(listed: Space, flat: Space) -> None:
    rows, products = listed.nearest(QUESTIONS, 20)
    all_rows, all_products = flat.nearest(QUESTIONS, COUNT)
    for number in range(len(QUESTIONS)):
        exact = dict(zip(all_rows[number].tolist(), all_products[number].tolist(), strict=True))
        assert [exact[row] for row in rows[number].tolist()] == products[number].tolist()
        assert products[number].tolist() == sorted(products[number].tolist(), reverse=True)


@pytest.mark.parametrize("k", [1, 10, 500, COUNT, COUNT + 1])
def test_there_are_as_many_as_are_wanted(listed: Space, k: int) -> None:
    rows, products = listed.nearest(QUESTIONS[:3], k)
    assert rows.shape == products.shape == (3, min(k, COUNT))
    assert (rows >= 0).all()
    assert all(len(set(of_question)) == len(of_question) for of_question in rows.tolist())


def test_all_rows_are_in_the_lists(listed: Space) -> None:
    rows, _ = listed.nearest(QUESTIONS[:1], COUNT)
    assert sorted(rows[0].tolist()) == list(range(0, 2 * COUNT, 2))


def test_equal_vectors_give_equal_files(folder: Path, listed: Space) -> None:
    write(folder / "again", flat_rows_max=100)
    for path in (folder / "listed").iterdir():
        assert path.read_bytes() == (folder / "again" / path.name).read_bytes()


def test_the_file_is_what_faiss_itself_would_write(folder: Path, listed: Space) -> None:
    # Given an index with the same lists, filled and written by FAISS
    path = folder / "listed" / layout.index_file("all")
    index = faiss.read_index(str(path))
    index.reset()
    index.add(VECTORS)
    faiss.write_index(index, str(folder / "own"))
    assert path.read_bytes() == (folder / "own").read_bytes()


def test_many_equal_passages_do_not_make_searches_slow(folder: Path) -> None:
    # Given copies: which of them are found is chance, and no reason to look further
    copies = np.repeat(texts_like(COUNT // 50, seed=3), 50, axis=0)
    space = write(folder / "copies", flat_rows_max=100, vectors=copies)
    index = faiss.read_index(str(folder / "copies" / layout.index_file("all")))
    assert isinstance(space, ListedSpace)
    assert index.nprobe <= index.nlist // 4


def test_codes_and_vectors_are_mapped_not_read(folder: Path, listed: Space) -> None:
    def mapped() -> int:
        lines = Path("/proc/self/maps").read_text().splitlines()
        return sum(str(folder / "listed") in line for line in lines)

    gc.collect()
    before = mapped()
    space = reopened(folder / "listed")
    space.nearest(QUESTIONS, 10)
    assert mapped() >= before + 3
    del space
    gc.collect()
    assert mapped() == before


def test_vectors_of_other_rows_are_refused(folder: Path, listed: Space) -> None:
    paths = {path.name: path for path in (folder / "listed").iterdir()}
    short = folder / "short"
    short.write_bytes(VECTORS[:-1].tobytes())
    with pytest.raises(CorruptArtifact):
        open_space("all", {**paths, layout.vectors_file("all"): short})
    fewer = folder / "fewer"
    fewer.write_bytes(np.arange(3, dtype="<i4").tobytes())
    with pytest.raises(CorruptArtifact):
        open_space("all", {**paths, layout.index_rows_file("all"): fewer})


@pytest.mark.parametrize("kept", ["listed", "flat"])
def test_an_index_of_another_kind_is_refused(folder: Path, listed: Space, kept: str) -> None:
    # Given what a later version may write: an index that this one does not know
    index = faiss.IndexHNSWFlat(DIMENSION, 4, faiss.METRIC_INNER_PRODUCT)
    index.add(VECTORS)
    faiss.write_index(index, str(folder / f"other-{kept}"))
    paths = {path.name: path for path in (folder / "listed").iterdir()}
    paths[layout.index_file("all")] = folder / f"other-{kept}"
    if kept == "flat":
        del paths[layout.vectors_file("all")]
    with pytest.raises(CorruptArtifact, match="IndexHNSWFlat"):
        open_space("all", paths)
