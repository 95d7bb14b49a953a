"""Which segments are merged."""

import hypothesis.strategies as st
from hypothesis import given

from coordinator.merging import (
    is_quick,
    part_passages,
    segments_to_merge,
    segments_worth_merging,
)
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


def test_a_large_merge_is_left_to_those_who_have_time() -> None:
    segments = [segment(str(at), limits.MERGED_AT_ONCE_ROWS_MAX) for at in range(9)]
    live = {it.name: it.passages for it in segments}
    assert segments_to_merge(segments, live, new=True) == set()
    worth = segments_worth_merging(segments, live, new=False)
    assert len(worth) >= 5
    assert not is_quick(segments, worth)


def test_a_large_segment_of_mostly_dead_rows_holds_up_nobody() -> None:
    segments = [segment("large", 1_000_000), segment("small", 5)]
    live = {"large": 400_000, "small": 5}
    assert segments_to_merge(segments, live, new=True) == set()
    assert segments_worth_merging(segments, live, new=False) == {"large"}


def test_at_the_hard_bound_the_smallest_that_nobody_merges_is_moved() -> None:
    large = [segment(str(at), 10_000 + at) for at in range(limits.SEGMENTS_HARD_MAX)]
    live = {it.name: it.passages for it in large}
    assert segments_to_merge(large, live, new=False) == set()
    assert segments_to_merge(large, live, new=True) == {"0"}
    assert segments_to_merge(large, live, new=True, spared={"0", "1"}) == {"2"}
    assert segments_to_merge(large, live, new=True, spared=live.keys()) == {"0"}


def test_what_is_merged_elsewhere_is_left_alone_while_there_is_room() -> None:
    segments = [segment(str(at), 5) for at in range(9)]
    live = {it.name: 5 for it in segments}
    assert segments_to_merge(segments, live, new=True, spared={"3"}) == set()


def test_parts_of_a_first_ingest_grow_and_are_few() -> None:
    parts = [0]
    passages = 0
    while passages < 1_000_000:
        parts.append(part_passages(passages))
        assert parts[-1] >= parts[-2]
        passages += parts[-1]
    assert parts[1] == limits.GENERATION_PASSAGES_MAX
    assert parts[-1] == limits.GENERATION_PASSAGES_GROWN_MAX
    assert len(parts) < 200


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
