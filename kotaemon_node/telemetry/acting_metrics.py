"""Counting what conversations do; a part of ``Metrics``, as ``metrics.acting``."""

from collections.abc import Mapping

from prometheus_client import Counter, Gauge, Histogram

from kotaemon_node.domain.handoff import BY, By


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
        for by in BY:
            counters["kotaemon_handoffs_total"].labels(by)
        for outcome in ("loaded", "refused"):
            counters["kotaemon_plugin_loads_total"].labels(outcome)

    # Plugins.

    def plugin_load(self, outcome: str) -> None:
        """Count a version that was ``loaded`` or ``refused``."""
        self._counters["kotaemon_plugin_loads_total"].labels(outcome).inc()

    def plugins_unloaded(self, plugins: int) -> None:
        """Say of how many plugins the version that is wanted does not start."""
        self._gauges["kotaemon_plugins_unloaded"].set(plugins)

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
