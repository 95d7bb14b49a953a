"""Counting what conversations do; a part of ``Metrics``, as ``metrics.acting``."""

from collections.abc import Mapping
from itertools import product
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from kotaemon_node.domain.handoff import BY, By
from kotaemon_node.ports.later import FOLLOW_UP, RECONCILE, SLOW_CALL, WEBHOOK, LaterCount

INTENTS_BY: Final = ("rules", "service", "examples", "model", "asked")
PROPOSALS: Final = ("asked", "confirmed", "declined", "dropped", "expired", "changed")

LATER_KINDS: Final = (RECONCILE, FOLLOW_UP, SLOW_CALL, WEBHOOK)
LATER_OUTCOMES: Final = ("done", "again", "failed", "dead", "lost")


class ActingMetrics:
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
        for wanted_by in BY:
            counters["kotaemon_handoffs_total"].labels(wanted_by)
        for source in INTENTS_BY:
            counters["kotaemon_intents_total"].labels(source)
        for outcome in PROPOSALS:
            counters["kotaemon_proposals_total"].labels(outcome)
        for kind, outcome in product(LATER_KINDS, LATER_OUTCOMES):
            counters["kotaemon_later_jobs_total"].labels(kind, outcome)
        for outcome in ("loaded", "refused"):
            counters["kotaemon_plugin_loads_total"].labels(outcome)

    # Plugins.

    def plugin_load(self, outcome: str) -> None:
        """Count a version that was ``loaded`` or ``refused``."""
        self._counters["kotaemon_plugin_loads_total"].labels(outcome).inc()

    def plugins_unloaded(self, plugins: int) -> None:
        """Say of how many plugins the version that is wanted does not start."""
        self._gauges["kotaemon_plugins_unloaded"].set(plugins)

    def plugin_process_ended(self, plugin: str, cause: str) -> None:
        """Count a process of a plugin that ended, or had to be ended, in the middle of a call."""
        self._counters["kotaemon_plugin_processes_ended_total"].labels(plugin, cause).inc()

    def plugin_breaker(self, plugin: str, is_open: bool) -> None:
        """Say whether a plugin, or a tool, is not asked because it failed in a row."""
        self._gauges["kotaemon_plugin_breaker_open"].labels(plugin).set(is_open)
        for told in ("stale", "failed"):
            self._counters["kotaemon_plugin_skipped_total"].labels(plugin, told)

    def plugin_skipped(self, plugin: str, told: str) -> None:
        """Count a call that was not made because of that: ``stale``, or ``failed`` at once."""
        self._counters["kotaemon_plugin_skipped_total"].labels(plugin, told).inc()

    def plugin_call_took(self, plugin: str, duration_s: float) -> None:
        """Note how long a call of a plugin or tool lasted, however it ended."""
        self._histograms["kotaemon_plugin_call_seconds"].labels(plugin).observe(duration_s)

    # Acting.

    def intent(self, by: str) -> None:
        """Count an intent by the recogniser that was sure: ``rules``, ``examples``, …"""
        self._counters["kotaemon_intents_total"].labels(by).inc()

    def proposal(self, outcome: str) -> None:
        """Count a proposal that was ``asked``, or what became of one."""
        self._counters["kotaemon_proposals_total"].labels(outcome).inc()

    # Handoffs.

    def handed_off(self, by: By) -> None:
        """A session was handed to a person."""
        self._counters["kotaemon_handoffs_total"].labels(by).inc()

    def handed_off_now(self, sessions: int) -> None:
        """Say how many sessions people have."""
        self._gauges["kotaemon_handed_off"].set(sessions)

    def agent_message(self) -> None:
        """A person said something in a session."""
        self._counters["kotaemon_agent_messages_total"].inc()

    # What is done later.

    def later_ended(self, kind: str, outcome: str) -> None:
        """A delayed job of this kind was carried out, and ended so."""
        self._counters["kotaemon_later_jobs_total"].labels(kind, outcome).inc()

    def later_counts(self, counts: Mapping[str, LaterCount]) -> None:
        """Say how many delayed jobs of each kind the whole cluster has."""
        for kind, count in counts.items():
            self._gauges["kotaemon_later_waiting"].labels(kind).set(count.waiting)
            self._gauges["kotaemon_later_late_seconds"].labels(kind).set(count.late_s)
            self._gauges["kotaemon_later_dead"].labels(kind).set(count.dead)
