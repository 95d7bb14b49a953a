"""Rounds in which the arms of a measure take turns, and the raw samples of each."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from load.bench.speed.figures import Spread, ratio, spread

Sample = Mapping[str, Any]
"""What one arm did in one round; plain JSON, its figures as numbers under their names."""


@dataclass(slots=True)
class Samples:
    """What was measured of each arm, in order of rounds."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, arm: str, number: int, sample: Sample) -> None:
        """Keep a sample, with the machine's load as it was behind it."""
        load = round(os.getloadavg()[0], 2)
        self.rows.append({"arm": arm, "round": number, "load": load, **sample})

    def of(self, arm: str, figure: str) -> list[float]:
        """Return a figure of an arm, one a round."""
        found = [float(row[figure]) for row in self.rows if row["arm"] == arm]
        if not found:
            raise KeyError(f"{arm} has no {figure}")
        return found

    def spread(self, arm: str, figure: str) -> Spread:
        """Return its middle and spread."""
        return spread(self.of(arm, figure))

    def ratio(self, over: str, under: str, figure: str) -> Spread:
        """Return the spread of the rounds' ratios between two arms."""
        return ratio(self.of(over, figure), self.of(under, figure))

    def keep(self, path: Path) -> None:
        """Write one JSON object a line."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(row, separators=(",", ":")) for row in self.rows]
        path.write_text("\n".join(lines) + "\n", "utf-8")


def interleaved(arms: Sequence[str], *, rounds: int, seed: int) -> Iterator[tuple[int, str]]:
    """Yield (round, arm): each arm once a round, in an order drawn anew for each."""
    draw = random.Random(seed)
    for number in range(rounds):
        for arm in draw.sample(list(arms), len(arms)):
            yield number, arm


def in_rounds(
    arms: Mapping[str, Callable[[int], Sample]],
    *,
    rounds: int,
    seed: int,
    pause_s: float = 0.2,
    tell: Callable[[str], None] = lambda _: None,
) -> Samples:
    """Run every arm once a round; each is given the round's number.

    Between two of them lies a pause, in which what the one left undone ends.
    """
    samples = Samples()
    for number, arm in interleaved(list(arms), rounds=rounds, seed=seed):
        sample = arms[arm](number)
        samples.add(arm, number, sample)
        told = ", ".join(
            f"{name} {value:.4g}" for name, value in sample.items() if isinstance(value, float)
        )
        tell(f"round {number + 1} of {rounds}, {arm}: {told}")
        time.sleep(pause_s)
    return samples
