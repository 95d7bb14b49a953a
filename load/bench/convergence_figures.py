"""Figures of how long all pods took to serve a change, and how they are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kotaemon_node.chaos.figures import bars, histogram, spread

GOAL_P95_MS = 5_000.0


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a document; times in seconds from the change of its file."""

    at: float
    """Seconds since the epoch."""
    published_s: float
    """Until its generation existed."""
    served_s: float
    """Until every pod that was up served it."""


def figures(changes: Sequence[Change]) -> dict[str, Any]:
    """Return the spreads and the histograms, in milliseconds."""
    spreading = [(change.served_s - change.published_s) * 1000 for change in changes]
    whole = [change.served_s * 1000 for change in changes]
    return {
        "changes": len(changes),
        "file_to_published_ms": spread([change.published_s * 1000 for change in changes]),
        "published_to_all_pods_ms": spread(spreading),
        "file_to_all_pods_ms": spread(whole),
        "histogram_published_to_all_pods_ms": histogram(spreading),
        "histogram_file_to_all_pods_ms": histogram(whole),
    }


def within_goal(found: Mapping[str, Any]) -> bool:
    """Return whether nothing was wrong, and knowledge was everywhere within seconds."""
    return (
        not found["errors"]
        and not found["stale_starts"]
        and found["kills"] > 0
        and found["file_to_all_pods_ms"]["p95"] <= GOAL_P95_MS
    )


def report(found: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    rows = {
        "file changed to generation published": found["file_to_published_ms"],
        "published to served by all pods": found["published_to_all_pods_ms"],
        "file changed to served by all pods": found["file_to_all_pods_ms"],
    }
    lines = [
        "# How soon all pods serve a change",
        "",
        "Made by `python -m load.bench.convergence`; what is measured stands there. The goal:",
        f"within {GOAL_P95_MS / 1000:g} s (p95), no error, no session that goes back.",
        "",
        f"Commit {found['commit']}, {found['machine']}; {found['changes']} changes,"
        f" {found['workers']} workers, {found['kills']} of them killed meanwhile.",
        "",
        "| ms | p50 | p95 | longest |",
        "|---|---|---|---|",
        *(
            f"| {name} | {row['p50']:.0f} | {row['p95']:.0f} | {row['max']:.0f} |"
            for name, row in rows.items()
        ),
        "",
        f"Turns answered meanwhile: {found['answers']}; errors and sessions that went back:"
        f" {len(found['errors'])}; pods that came back with older knowledge:"
        f" {len(found['stale_starts'])}.",
        *(f"- {one}" for one in [*found["errors"], *found["stale_starts"]][:20]),
        "",
        "## Published to served by all pods",
        "",
        "```",
        *bars(found["histogram_published_to_all_pods_ms"]),
        "```",
        "",
        "## File changed to served by all pods",
        "",
        "```",
        *bars(found["histogram_file_to_all_pods_ms"]),
        "```",
    ]
    return "\n".join(lines) + "\n"
