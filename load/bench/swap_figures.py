"""Figures of searches beside swaps of generations, and how they are shown."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RATIO_MAX = 1.1
QUIET, AGAIN, SWAPPING = "quiet", "quiet again", "swapping"
_DRAWS = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """One search: what happened meanwhile, in which block of rounds, and how long it took."""

    arm: str
    block: int
    took_s: float


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of the sorted ``values`` do not exceed."""
    return values[min(len(values) - 1, int(share * len(values)))]


def figures(asked: Sequence[Asked], swaps_s: Sequence[float], *, seed: int) -> dict[str, Any]:
    """Return each arm's latencies, the ratios of their p99, and how long swaps took."""
    by_block = {arm: _by_block(asked, arm) for arm in (QUIET, AGAIN, SWAPPING)}
    times = sorted(swaps_s)
    return {
        "arms": {arm: _spread(blocks) for arm, blocks in by_block.items()},
        "p99_ratio": {
            arm: _ratio(by_block[arm], to=by_block[QUIET], seed=seed) for arm in (AGAIN, SWAPPING)
        },
        "swaps": len(times),
        "swap_ms": {
            name: round(percentile(times, share) * 1000, 1)
            for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
        },
    }


def _by_block(asked: Sequence[Asked], arm: str) -> Mapping[int, list[float]]:
    found: dict[int, list[float]] = {}
    for one in asked:
        if one.arm == arm:
            found.setdefault(one.block, []).append(one.took_s)
    return found


def _pooled(blocks: Mapping[int, Sequence[float]], drawn: Sequence[int]) -> list[float]:
    return sorted(took_s for block in drawn for took_s in blocks[block])


def _spread(blocks: Mapping[int, Sequence[float]]) -> Mapping[str, float]:
    times = _pooled(blocks, list(blocks))
    shown = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    ms = {f"{name}_ms": round(percentile(times, at) * 1000, 2) for name, at in shown.items()}
    return {"searches": len(times), **ms}


def _ratio(
    blocks: Mapping[int, Sequence[float]], *, to: Mapping[int, Sequence[float]], seed: int
) -> Mapping[str, float]:
    """Return the ratio of p99s, and between what 95 % of resampled runs have it.

    Blocks are drawn, not searches: what disturbed a block disturbed all of its rounds.
    """
    chance = random.Random(seed)
    numbers = sorted(blocks.keys() & to.keys())

    def of(drawn: Sequence[int]) -> float:
        return percentile(_pooled(blocks, drawn), 0.99) / percentile(_pooled(to, drawn), 0.99)

    ratios = sorted(of(chance.choices(numbers, k=len(numbers))) for _ in range(_DRAWS))
    return {
        "value": round(of(numbers), 3),
        "low": round(ratios[int(0.025 * _DRAWS)], 3),
        "high": round(ratios[int(0.975 * _DRAWS)], 3),
    }


def within_goal(found: Mapping[str, Any]) -> bool:
    """Return whether every answer was right and swaps cost no more than allowed."""
    return not found["errors"] and found["p99_ratio"][SWAPPING]["value"] <= RATIO_MAX


def report(found: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    ratio, swaps = found["p99_ratio"], found["swap_ms"]
    lines = [
        "# What a swap of generations costs searches",
        "",
        "Made by `python -m load.bench.swap`; what is measured stands there. The goal: no error,",
        f"each answer of one generation, a p99 of at most {RATIO_MAX} times that of quiet rounds.",
        "",
        f"Commit {found['commit']}, {found['machine']}; {found['documents']} documents,"
        f" {found['passages']} passages in {found['segments']} segments; {found['clients']} clients"
        f" without a pause; rounds of {found['round_s']:g} s, a swap every"
        f" {found['swap_every_s']:g} s.",
        "",
        "| rounds | searches | p50 ms | p95 ms | p99 ms | p99 to quiet (95 % of resampled runs) |",
        "|---|---|---|---|---|---|",
        *(_row(arm, row, ratio.get(arm)) for arm, row in found["arms"].items()),
        "",
        f"{found['swaps']} swaps, from pointer to served: p50 {swaps['p50']} ms, p95"
        f" {swaps['p95']} ms, longest {swaps['max']} ms. Wrong answers and errors:"
        f" {len(found['errors'])}.",
        *(f"- {error}" for error in found["errors"][:20]),
    ]
    return "\n".join(lines) + "\n"


def _row(arm: str, row: Mapping[str, float], ratio: Mapping[str, float] | None) -> str:
    shown = f"{ratio['value']} ({ratio['low']}–{ratio['high']})" if ratio else "1"
    return (
        f"| {arm} | {row['searches']} | {row['p50_ms']} | {row['p95_ms']} | {row['p99_ms']} |"
        f" {shown} |"
    )
