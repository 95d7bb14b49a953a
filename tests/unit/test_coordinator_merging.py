"""Which segments are merged."""

import hypothesis.strategies as st
from hypothesis import given

from coordinator.merging import segments_to_merge
from kotaemon_node.domain import limits
from kotaemon_node.domain.knowledge import SegmentEntry


def segment(name: str, rows: int) -> SegmentEntry:
    return SegmentEntry(name=name, passages=rows, size_bytes=0, files={})


def test_few_whole_segments_are_left_alone() -> None:
    segments = [segment(str(at), 10) for at in range(limits.SEGMENTS_MAX - 1)]
    assert segments_to_merge(segments, {it.name: 10 for it in segments}, new=True) == set()


def test_a_segment_of_mostly_dead_rows_is_written_anew_and_an_empty_one_is_not() -> None:
    segments = [segment("half", 10), segment("few", 10), segment("none", 10)]
    assert segments_to_merge(segments, {"half": 5, "few": 4}, new=False) == {"few"}


def test_the_large_segment_is_not_moved_for_small_changes() -> None:
    segments = [segment("large", 100_000), *(segment(str(at), 5) for at in range(8))]
    merged = segments_to_merge(segments, {it.name: it.passages for it in segments}, new=True)
    assert "large" not in merged
    assert len(merged) >= 5


SIZES = st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 1000)), max_size=30)


@given(SIZES, st.booleans())
def test_afterwards_there_are_not_too_many_segments(
    sizes: list[tuple[int, int]], new: bool
) -> None:
    segments = [segment(str(at), rows) for at, (rows, _) in enumerate(sizes)][: limits.SEGMENTS_MAX]
    live = {it.name: min(it.passages, sizes[at][1]) for at, it in enumerate(segments)}
    live = {name: rows for name, rows in live.items() if rows}
    merged = segments_to_merge(segments, live, new=new)
    assert merged <= live.keys()
    assert len(live.keys() - merged) + bool(merged or new) <= limits.SEGMENTS_MAX
