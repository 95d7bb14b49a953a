"""The catalogue of metrics, one row each, and the one object through which a pod counts.

Rule 1: a metric exists only as a row of ``CATALOGUE``; docs/reference/metrics.md lists the same.
Rule 2: units are base units (seconds, counts) and stand last in the name.
Rule 3: a label's values are few and ours: never a session, a user, or a word of a question.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

METRICS_MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# Buckets in seconds. A turn may take up to 900 s; a first text is late at 10 s; retrieval is meant
# to take milliseconds.
_TURN_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
_FIRST_TEXT_S: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RETRIEVAL_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_HTTP_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric: how it is named, counted and told apart."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets_s: tuple[float, ...] = ()


CATALOGUE: Final = (
    MetricRow("kotaemon_turns_total", "counter", "Turns ended, by outcome.", ("outcome",)),
    MetricRow(
        "kotaemon_turn_duration_seconds", "histogram", "Accepted until ended.", buckets_s=_TURN_S
    ),
    MetricRow(
        "kotaemon_first_text_seconds",
        "histogram",
        "Accepted until the first text frame.",
        buckets_s=_FIRST_TEXT_S,
    ),
    MetricRow(
        "kotaemon_retrieval_seconds", "histogram", "One search, whole.", buckets_s=_RETRIEVAL_S
    ),
    MetricRow(
        "kotaemon_neighbour_searches_total",
        "counter",
        "Searches where VECTOR_STORE names a server, by where the nearest vectors were found: all "
        "there (store), some in segments' files (partly) or all of them (files).",
        ("source",),
    ),
    MetricRow("kotaemon_turns_running", "gauge", "Turns that this pod executes now."),
    MetricRow("kotaemon_streams_active", "gauge", "Streams open to clients of this pod."),
    MetricRow("kotaemon_takeovers_total", "counter", "Turns taken over from another pod."),
    MetricRow(
        "kotaemon_fenced_writes_total",
        "counter",
        "Turns left because a write was refused: taken over, cancelled or interrupted elsewhere.",
    ),
    MetricRow(
        "kotaemon_knowledge_generation", "gauge", "Generation served, by knowledge base.", ("kb",)
    ),
    MetricRow(
        "kotaemon_knowledge_refused",
        "gauge",
        "1 where this pod refuses the newest generation and serves the one before.",
        ("kb",),
    ),
    MetricRow(
        "kotaemon_knowledge_behind",
        "gauge",
        "1 where another pod serves a newer generation.",
        ("kb",),
    ),
    MetricRow(
        "kotaemon_generation_refused_total",
        "counter",
        "Tries to serve a generation that ended in its refusal: unsigned, unknown_key, "
        "bad_signature, misplaced (of another place or number), corrupt (checksum, missing file) "
        "or unusable (e.g. another encoder).",
        ("kb", "reason"),
    ),
    MetricRow(
        "kotaemon_events_total",
        "counter",
        "Events of the bus: handled, ignored (known already), poison (skipped) or dropped (the bus"
        " was away for too long).",
        ("topic", "outcome"),
    ),
    MetricRow(
        "kotaemon_session_cache_total",
        "counter",
        "Turns begun in a session with a history, by what the pod's memory of it was good for: "
        "all (hit), all but newer turns (partial; stale where an event had said so), nothing "
        "(miss), or the store was set back (rolled_back).",
        ("result",),
    ),
    MetricRow(
        "kotaemon_sessions_gone_total",
        "counter",
        "Told as gone: the store lost the end of a session (rolled_back) or all of it (wiped); or "
        "what somebody followed of a turn is lost or deleted (turn).",
        ("reason",),
    ),
    MetricRow(
        "kotaemon_sessions_restored_total",
        "counter",
        "Tries to bring an archived session back: restored, unavailable (the artifact store did "
        "not answer), missing (its copy was not there) or corrupt.",
        ("outcome",),
    ),
    MetricRow(
        "kotaemon_session_restore_seconds",
        "histogram",
        "One such try, reading and unpacking its copy.",
        buckets_s=_RETRIEVAL_S,
    ),
    MetricRow("kotaemon_llm_tokens_total", "counter", "Tokens of the language model.", ("kind",)),
    MetricRow(
        "kotaemon_plugin_calls_total",
        "counter",
        "Calls of tools: done, failed, or unknown.",
        ("plugin", "outcome"),
    ),
    MetricRow(
        "kotaemon_store_refusals_total",
        "counter",
        "Requests and heartbeats that the session store failed: it is full, unwritable or silent, "
        "or all connections to it were busy.",
        ("reason",),
    ),
    MetricRow(
        "kotaemon_unconfirmed_writes_total",
        "counter",
        "Writes that were not confirmed in time as DURABILITY asks, so that nobody was told; they "
        "are repeated.",
    ),
    MetricRow("kotaemon_ready", "gauge", "1 when this pod can serve, else 0."),
    MetricRow(
        "kotaemon_http_requests_total",
        "counter",
        "Requests answered, by route pattern.",
        ("route", "method", "status"),
    ),
    MetricRow(
        "kotaemon_http_request_seconds",
        "histogram",
        "Request read until its answer began.",
        ("route",),
        _HTTP_S,
    ),
)

# A bare counter would be absent until its first event, and ``rate()`` would miss that event.
_KNOWN_LABELS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "kotaemon_turns_total": (("done",), ("failed",), ("cancelled",), ("interrupted",)),
    "kotaemon_session_cache_total": (
        ("hit",),
        ("partial",),
        ("miss",),
        ("stale",),
        ("rolled_back",),
    ),
    "kotaemon_sessions_gone_total": (("rolled_back",), ("wiped",), ("turn",)),
    "kotaemon_sessions_restored_total": (
        ("restored",),
        ("unavailable",),
        ("missing",),
        ("corrupt",),
    ),
    "kotaemon_llm_tokens_total": (("prompt",), ("completion",)),
    "kotaemon_store_refusals_total": (("full",), ("unwritable",), ("silent",), ("busy",)),
}


class Metrics:
    """What a pod counts, in a registry of its own so that two pods in one test stay apart.

    Thread safe. No method raises for a legal call and none blocks.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # CPU, memory and files of the process, as kotaemon_process_*.
        ProcessCollector(namespace="kotaemon", registry=self.registry)
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for row in CATALOGUE:
            self._register(row)
        for name, rows in _KNOWN_LABELS.items():
            for labels in rows:
                self._counters[name].labels(*labels)
        self._kbs_lock = threading.Lock()
        self._kbs_shown: dict[str, set[str]] = {}

    def _register(self, row: MetricRow) -> None:
        match row.kind:
            case "counter":
                self._counters[row.name] = Counter(
                    row.name, row.meaning, row.labels, registry=self.registry
                )
            case "gauge":
                self._gauges[row.name] = Gauge(
                    row.name, row.meaning, row.labels, registry=self.registry
                )
            case "histogram":
                self._histograms[row.name] = Histogram(
                    row.name,
                    row.meaning,
                    row.labels,
                    registry=self.registry,
                    buckets=row.buckets_s,
                )

    def exposition(self) -> bytes:
        """Return all of it in Prometheus's text format (``METRICS_MEDIA_TYPE``)."""
        return generate_latest(self.registry)

    def turn_finished(self, outcome: str, duration_s: float) -> None:
        """Count a turn that ended as ``done``, ``failed``, ``cancelled`` or ``interrupted``."""
        self._counters["kotaemon_turns_total"].labels(outcome).inc()
        self._histograms["kotaemon_turn_duration_seconds"].observe(duration_s)

    def first_text(self, duration_s: float) -> None:
        """Note how long after its acceptance a turn showed its first text."""
        self._histograms["kotaemon_first_text_seconds"].observe(duration_s)

    def retrieval(self, duration_s: float) -> None:
        """Note how long one search took."""
        self._histograms["kotaemon_retrieval_seconds"].observe(duration_s)

    def neighbours(self, source: Literal["store", "partly", "files"]) -> None:
        """Count a search for which a vector store could be asked."""
        self._counters["kotaemon_neighbour_searches_total"].labels(source).inc()

    def turns_running(self, turns: int) -> None:
        """Say how many turns this pod executes now."""
        self._gauges["kotaemon_turns_running"].set(turns)

    def stream_opened(self) -> None:
        """A client follows."""
        self._gauges["kotaemon_streams_active"].inc()

    def stream_closed(self) -> None:
        """A client left, or its stream came to its end."""
        self._gauges["kotaemon_streams_active"].dec()

    def takeover(self) -> None:
        """This pod took over a turn."""
        self._counters["kotaemon_takeovers_total"].inc()

    def fenced_write(self) -> None:
        """A write of this pod was refused: another pod owns the turn."""
        self._counters["kotaemon_fenced_writes_total"].inc()

    def generation(self, kb: str, number: int) -> None:
        """Say which generation of ``kb`` this pod serves."""
        with self._kbs_lock:
            self._kbs_shown.setdefault("kotaemon_knowledge_generation", set()).add(kb)
            self._gauges["kotaemon_knowledge_generation"].labels(kb).set(number)

    def generations(self, served: Mapping[str, int]) -> None:
        """Say all that this pod serves; a knowledge base that is gone leaves the exposition."""
        self._show_kbs("kotaemon_knowledge_generation", served)

    def refused(self, kbs: Iterable[str]) -> None:
        """Say of which knowledge bases this pod refuses the newest generation."""
        self._show_kbs("kotaemon_knowledge_refused", dict.fromkeys(kbs, 1))

    def behind(self, kbs: Iterable[str]) -> None:
        """Say of which knowledge bases another pod serves a newer generation."""
        self._show_kbs("kotaemon_knowledge_behind", dict.fromkeys(kbs, 1))

    def generation_refused(self, kb: str, reason: str) -> None:
        """A generation was not served; ``reason`` is one of those that the catalogue names."""
        self._counters["kotaemon_generation_refused_total"].labels(kb, reason).inc()

    def _show_kbs(self, name: str, values: Mapping[str, int]) -> None:
        with self._kbs_lock:
            gauge = self._gauges[name]
            for kb in self._kbs_shown.get(name, set()) - values.keys():
                gauge.remove(kb)
            self._kbs_shown[name] = set(values)
            for kb, value in values.items():
                gauge.labels(kb).set(value)

    def event(
        self, topic: str, outcome: Literal["handled", "ignored", "poison", "dropped"]
    ) -> None:
        """An event came from the bus, or could not be sent to it for too long."""
        self._counters["kotaemon_events_total"].labels(topic, outcome).inc()

    def session_cache(
        self, result: Literal["hit", "partial", "miss", "stale", "rolled_back"]
    ) -> None:
        """A turn began; say what was remembered of its session."""
        self._counters["kotaemon_session_cache_total"].labels(result).inc()

    def session_gone(self, reason: Literal["rolled_back", "wiped", "turn"]) -> None:
        """Somebody was told that the store has lost something."""
        self._counters["kotaemon_sessions_gone_total"].labels(reason).inc()

    def session_restored(
        self, outcome: Literal["restored", "unavailable", "missing", "corrupt"], duration_s: float
    ) -> None:
        """Somebody asked for an archived session."""
        self._counters["kotaemon_sessions_restored_total"].labels(outcome).inc()
        self._histograms["kotaemon_session_restore_seconds"].observe(duration_s)

    def llm_tokens(self, prompt: int, completion: int) -> None:
        """Count the tokens of one call, as the server reported them."""
        self._counters["kotaemon_llm_tokens_total"].labels("prompt").inc(prompt)
        self._counters["kotaemon_llm_tokens_total"].labels("completion").inc(completion)

    def plugin_call(self, plugin: str, outcome: Literal["done", "failed", "unknown"]) -> None:
        """Count a call of a tool; ``plugin`` is the name of one that is configured."""
        self._counters["kotaemon_plugin_calls_total"].labels(plugin, outcome).inc()

    def store_refused(self, reason: str) -> None:
        """The store failed a request or a heartbeat; ``reason`` is ``StoreUnavailable.refusal``."""
        self._counters["kotaemon_store_refusals_total"].labels(reason).inc()

    def unconfirmed_writes(self, writes: int) -> None:
        """So many writes were not confirmed in time."""
        self._counters["kotaemon_unconfirmed_writes_total"].inc(writes)

    def ready(self, is_ready: bool) -> None:
        """Say whether this pod can serve."""
        self._gauges["kotaemon_ready"].set(1 if is_ready else 0)

    def http_request(self, route: str, *, method: str, status: int, duration_s: float) -> None:
        """Count an answer. ``route`` is the pattern (``/v1/sessions/<sid>``), never the path."""
        self._counters["kotaemon_http_requests_total"].labels(route, method, str(status)).inc()
        self._histograms["kotaemon_http_request_seconds"].labels(route).observe(duration_s)
