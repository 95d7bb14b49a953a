"""Which segments of a generation are written anew as one.

A small change makes a small segment, so that dropping one file never rebuilds the rest. Merging
keeps their number low and their dead rows few, and takes the smallest first: a row is then moved a
number of times that grows with the logarithm of the knowledge base, not with its changes.
"""

from collections.abc import Mapping, Sequence

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
    segments: Sequence[SegmentEntry], live: Mapping[str, int], *, new: bool
) -> frozenset[str]:
    """Return the names of the segments whose live rows go into the new segment.

    ``new`` says that there is a new segment in any case. Segments without live rows are dropped,
    never merged.
    """
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
