"""One run in a scene of its own: the cluster is started for it, disturbed, judged and stopped."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kotaemon_node.chaos.phases import PHASES
from kotaemon_node.chaos.report import results
from kotaemon_node.chaos.run import Run, run
from kotaemon_node.chaos.schedule import FILLER
from kotaemon_node.proof.facts import Effect, Fact
from load import surroundings
from load.chaos.faults import bound
from load.chaos.model import PACE
from load.chaos.scene import Scene, scene, until_known


def run_scene(
    *,
    seed: int,
    clients: int,
    seconds: float,
    faults: Sequence[str],
    tell: Callable[[str], None],
    log: Path | None = None,
    pace: Mapping[str, float] = PACE,
    kind: str = "single",
    durability: str = "local",
) -> dict[str, Any]:
    """Disturb a new cluster for so long and return the figures of the report."""
    with tempfile.TemporaryDirectory(prefix="kn-chaos-") as folder:
        place = Path(folder)
        tell(f"starting a cluster on Redis ({kind})")
        with scene(place, pace=pace, kind=kind, durability=durability) as here:
            found = run(
                here.surroundings(),
                bound(here, faults),
                seed=seed,
                clients=clients,
                seconds=seconds,
                log=log or place / "log.jsonl",
                tell=tell,
                rest=lambda this: _rest(this, here),
            )
    return results(
        found,
        phases=list(PHASES) if FILLER in faults else [],
        commit=surroundings.commit(required=False),
        machine=surroundings.machine(),
        setup=f"store {kind}, durability {durability}, a word every {pace['token_ms']:g} ms",
        store=kind,
        durability=durability,
        pace=dict(pace),
    )


def _rest(found: Run, here: Scene) -> Iterator[Fact]:
    """Wait until all pods know what was published last; yield what tools did to the world."""
    here.publisher.stop()
    found.known_s = until_known(here)
    if found.known_s is None:
        found.failures.append("knowledge: not every pod answers from the newest revision")
    found.more["model"] = dict(here.model.stats())
    for key, times in here.tools.effects().items():
        for _ in range(times):
            yield Effect(0.0, key)
