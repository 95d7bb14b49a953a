"""All unit costs, measured one after the other on the real parts; a few minutes, mostly waiting."""

import json
import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

import psutil
import structlog

from kotaemon_node.domain import limits
from load import surroundings
from load.kept import keep, progress
from load.scale import (
    crowd,
    measure_bus,
    measure_haproxy,
    measure_kafka,
    measure_store,
    measure_turns,
)
from load.scale.costs import Costs
from load.scale.report import measured_report

CROWDS = ((25, 100), (100, 400), (200, 800))
"""Pods and turns that run, for which the model is compared with what was not measured for it."""
_CROWD_S = limits.BEHIND_LOOK_S  # in which each looks at the others once
_TURNS = 240
_IDLE_S = 6.0


def measure(out: Path, *, only: Collection[str] = ()) -> Costs:
    """Measure everything and keep it as ``out``.json; returns the costs.

    ``only``: these parts anew, the others as they were kept. Each says of which commit it is.
    """
    # Readers of a server that is gone say so, again and again.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    path = out.with_suffix(".json")
    results: dict[str, Any] = json.loads(path.read_text("utf-8")) if only else {}
    results |= {"machine": surroundings.machine(), "load": psutil.getloadavg()[0]}
    commits = results.setdefault("commits", {})
    for name, take in PARTS.items():
        if not only or name in only:
            progress(name)
            results[name], commits[name] = take(), surroundings.commit()
    costs = Costs.of(results)
    keep(out, results, measured_report(results, costs))
    return costs


def _crowds() -> list[dict[str, float]]:
    return [
        {
            "pods": pods,
            "running": running,
            **crowd.lived(pods=pods, running=running, duration_s=_CROWD_S),
        }
        for pods, running in CROWDS
    ]


PARTS: Final[Mapping[str, Callable[[], Any]]] = {
    "steps": measure_store.measured,
    "bus": measure_bus.measured,
    "haproxy": measure_haproxy.measured,
    "kafka": measure_kafka.measured,
    "cluster": lambda: measure_turns.measured(turns=_TURNS, idle_s=_IDLE_S),
    "crowds": _crowds,
}
