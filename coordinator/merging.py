"""Which segments of a generation are written anew as one, and when.

A small change makes a small segment, so that dropping one file never rebuilds the rest. Merging
keeps their number low and their dead rows few, and takes the smallest first: a row is then moved a
number of times that grows with the logarithm of the knowledge base, not with its changes.

What is moved in no time is moved while a change is published. The rest is merged beside that
(``merges``), and meanwhile there are a few segments more than the goal. Only at the hard bound does
publishing merge the smallest ones itself.
"""

from collections.abc import Collection, Mapping, Sequence

from kotaemon_node.domain import limits
from kotaemon_node.domain.knowledge import DocumentEntry, SegmentEntry


def live_rows(documents: Sequence[DocumentEntry]) -> Mapping[str, int]:
    """Return how many rows of each segment are live; a segment without any is not named."""
    live: dict[str, int] = {}
    for entry in documents:
        if entry.segment is not None:
            live[entry.segment] = live.get(entry.segment, 0) + entry.passages
    return live


def segments_to_merge(
    segments: Sequence[SegmentEntry],
    live: Mapping[str, int],
    *,
    new: bool,
    spared: Collection[str] = (),
) -> frozenset[str]:
    """Return the names of the segments that publishing moves into the new segment: few rows.

    ``new`` says that there is a new segment in any case. ``spared`` are being merged already; they
    are moved only where nothing else keeps the bound. Segments without live rows are dropped, never
    merged.
    """
    wanted = segments_worth_merging(segments, live, new=new)
    if is_quick(segments, wanted) and not wanted.intersection(spared):
        return wanted
    kept = sorted(
        (segment for segment in segments if live.get(segment.name, 0)),
        key=lambda segment: (segment.name in spared, live[segment.name]),
    )
    excess = len(kept) + bool(new) - limits.SEGMENTS_HARD_MAX
    if excess <= 0:
        return frozenset()
    # Without a new segment, what is merged makes one.
    return frozenset(segment.name for segment in kept[: excess + (not new)])


def segments_worth_merging(
    segments: Sequence[SegmentEntry], live: Mapping[str, int], *, new: bool
) -> frozenset[str]:
    """Return the names of the segments that should become one, whatever that takes."""
    kept = [segment for segment in segments if live.get(segment.name, 0)]
    merged = {segment.name for segment in kept if live[segment.name] * 2 < segment.passages}
    whole = sorted(
        (segment for segment in kept if segment.name not in merged),
        key=lambda segment: live[segment.name],
    )
    if len(whole) + bool(new or merged) > limits.SEGMENTS_MAX:
        merged |= {segment.name for segment in whole[: limits.SEGMENTS_MAX // 2 + 1]}
        # Segments no larger than what is merged below them come along: they would be next.
        size = sum(live[name] for name in merged)
        for segment in whole[limits.SEGMENTS_MAX // 2 + 1 :]:
            if live[segment.name] > size:
                break
            merged.add(segment.name)
            size += live[segment.name]
    return frozenset(merged)


def is_quick(segments: Sequence[SegmentEntry], names: Collection[str]) -> bool:
    """Tell whether merging these holds up publishing for no more than a moment."""
    # Dead rows count: the terms of all are gone through.
    rows = sum(segment.passages for segment in segments if segment.name in names)
    return rows <= limits.MERGED_AT_ONCE_ROWS_MAX


def part_passages(passages: int) -> int:
    """Return how many new passages one generation may bring to a knowledge base of ``passages``.

    The first parts are small, so that they can be searched at once. Each next one may be an eighth
    of what is there, up to a bound: a million passages then take some 150 generations instead of
    2,000, and what a crash repeats, or what others wait for, stays within that bound.
    """
    grown = min(passages // 8, limits.GENERATION_PASSAGES_GROWN_MAX)
    return max(limits.GENERATION_PASSAGES_MAX, grown)
