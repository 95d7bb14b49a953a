"""Counting which generations a pod serves; a part of ``Metrics``, as ``metrics.knowledge``."""

import threading
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from kotaemon_node.telemetry.known_labels import KNOWN_REFUSALS

ANY_TENANTS: Final = "*"
"""The label of all knowledge bases of tenants besides ``default``; none can be called so."""


class KnowledgeMetrics:
    """Counts in the registry of the pod. As ``Metrics``: no method raises or blocks."""

    def __init__(
        self,
        counters: Mapping[str, Counter],
        gauges: Mapping[str, Gauge],
        histograms: Mapping[str, Histogram],
    ) -> None:
        self._counters = counters
        self._gauges = gauges
        self._histograms = histograms
        self._kbs_lock = threading.Lock()
        self._kbs_shown: dict[str, set[str]] = {}

    def generations(self, served: Mapping[str, int]) -> None:
        """Say all that this pod serves; a knowledge base that is gone leaves the exposition."""
        self._show_kbs("kotaemon_knowledge_generation", served)
        for kb in served:
            for reason in KNOWN_REFUSALS:
                self._counters["kotaemon_generation_refused_total"].labels(kb, reason)

    def refused(self, kbs: Iterable[str], *, served: Iterable[str] = ()) -> None:
        """Say of which knowledge bases this pod refuses the newest generation; else it is 0."""
        shown = {**dict.fromkeys(served, 0), **dict.fromkeys(kbs, 1)}
        self._show_kbs("kotaemon_knowledge_refused", shown)

    def behind(self, kbs: Iterable[str], *, served: Iterable[str] = ()) -> None:
        """Say of which knowledge bases another pod serves a newer generation; else it is 0."""
        shown = {**dict.fromkeys(served, 0), **dict.fromkeys(kbs, 1)}
        self._show_kbs("kotaemon_knowledge_behind", shown)

    def tenants_open(self, count: int) -> None:
        """So many tenants besides ``default`` have their knowledge in this pod."""
        self._gauges["kotaemon_tenants_open"].set(count)

    def generation_refused(self, kb: str, reason: str) -> None:
        """A generation was not served; ``reason`` is one of those that the catalogue names."""
        self._counters["kotaemon_generation_refused_total"].labels(kb, reason).inc()

    def generation_loaded(self, duration_s: float) -> None:
        """A newer generation is served."""
        self._histograms["kotaemon_generation_load_seconds"].observe(duration_s)

    def _show_kbs(self, name: str, values: Mapping[str, int]) -> None:
        with self._kbs_lock:
            gauge = self._gauges[name]
            for kb in self._kbs_shown.get(name, set()) - values.keys():
                gauge.remove(kb)
            self._kbs_shown[name] = set(values)
            for kb, value in values.items():
                gauge.labels(kb).set(value)
