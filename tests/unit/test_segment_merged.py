"""Merging segments row by row gives the very files that all rows give at once."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kotaemon_node.adapters.faiss import FaissSegmentFormat, merged_terms, segment_writer
from kotaemon_node.domain.knowledge import Passage, SegmentEntry
from kotaemon_node.ports.encoder import SpaceVectors
from kotaemon_node.ports.segments import Segment
from kotaemon_node.retrieval.analysis import terms
from tests.fakes.encoder import HashingEncoder
from tests.fakes.knowledge import passages_of

WORD = st.sampled_from(["lamp", "chair", "ship", "days", "退货", "保修", "12", "a", "ab"])
TEXT = st.lists(WORD, min_size=1, max_size=6).map(" ".join)
ENCODER = HashingEncoder(dimension=16, by_language=True)
LISTS_FROM = 8
"""Spaces of more rows than this have lists: so few that both kinds are met."""


def rows_of(texts: Sequence[str]) -> list[Passage]:
    # Three documents whose rows are mixed, some of them empty.
    return [
        passage
        for at, text in enumerate(texts)
        for passage in passages_of(f"{(at * 7) % 3}.md", f"{text} {at}")
    ]


def encoded(passages: Sequence[Passage]) -> Mapping[str, SpaceVectors]:
    return ENCODER.encode_passages([passage.text for passage in passages])


def counted(passages: Sequence[Passage]) -> list[Mapping[str, int]]:
    return [terms(passage.text) for passage in passages]


def form() -> FaissSegmentFormat:
    return FaissSegmentFormat(flat_rows_max=LISTS_FROM)


def written(folder: Path, passages: Sequence[Passage]) -> SegmentEntry:
    folder.mkdir(parents=True)
    return form().write(folder, passages, counted(passages), encoded(passages))


def opened(folder: Path, entry: SegmentEntry) -> Segment:
    return form().open({path.name: path for path in folder.iterdir()}, entry)


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.lists(TEXT, max_size=12), min_size=1, max_size=4),
    new=st.lists(TEXT, max_size=6),
    data=st.data(),
)
def test_merged_files_are_those_of_all_rows_at_once(
    tmp_path_factory: pytest.TempPathFactory,
    cuts: list[list[str]],
    new: list[str],
    data: st.DataObject,
) -> None:
    # Given segments, some rows of which are dead, and new rows
    root = tmp_path_factory.mktemp("merge")
    kept: list[Passage] = []
    (root / "merged").mkdir()
    writer = form().writer(root / "merged")
    for number, texts in enumerate(cuts):
        passages = rows_of(texts)
        segment = opened(root / str(number), written(root / str(number), passages))
        live = np.array(
            data.draw(st.lists(st.booleans(), min_size=len(passages), max_size=len(passages))),
            dtype=np.bool_,
        )
        writer.copy(segment, live)
        kept += [passages[row] for row in np.flatnonzero(live)]
        segment.close()
    fresh = rows_of(new)
    half = len(fresh) // 2
    for piece in (fresh[:half], fresh[half:]):
        writer.add(piece, counted(piece), encoded(piece))
    # Then the merged one is the one that is written of the live rows
    assert writer.finish() == written(root / "whole", kept + fresh)


def test_runs_and_blocks_may_be_cut_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passages = rows_of([f"lamp {at} chair {at % 5} 退货" for at in range(40)])
    whole = written(tmp_path / "whole", passages)
    monkeypatch.setattr(segment_writer, "_RUN_POSTINGS", 7)
    monkeypatch.setattr(segment_writer, "_COPY_ROWS", 3)
    monkeypatch.setattr(merged_terms, "_BLOCK", 5)
    (tmp_path / "pieces").mkdir()
    writer = form().writer(tmp_path / "pieces")
    for at in range(0, 20, 4):
        piece = passages[at : at + 4]
        writer.add(piece, counted(piece), encoded(piece))
    segment = opened(tmp_path / "rest", written(tmp_path / "rest", passages[20:]))
    writer.copy(segment, np.ones(20, dtype=np.bool_))
    assert writer.finish() == whole


def test_whoever_writes_may_be_stopped_between_any_two_pieces(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stopping(after: int) -> Callable[[], None]:
        calls = iter(range(after))

        def alive() -> None:
            if next(calls, None) is None:
                raise Stop

        return alive

    passages = rows_of([f"lamp {at}" for at in range(30)])
    segment = opened(tmp_path / "old", written(tmp_path / "old", passages))
    stopped = 0
    for after in range(200):
        folder = tmp_path / str(after)
        folder.mkdir()
        try:
            writer = form().writer(folder, alive=stopping(after))
            writer.copy(segment, np.ones(30, dtype=np.bool_))
            writer.finish()
        except Stop:
            stopped += 1
        else:
            break
    assert stopped > 5


def test_rows_of_another_format_are_refused(tmp_path: Path) -> None:
    class Foreign:
        pass

    with pytest.raises(TypeError, match="Foreign"):
        form().writer(tmp_path).copy(Foreign(), np.ones(1, dtype=np.bool_))  # type: ignore[arg-type]
